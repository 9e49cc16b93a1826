//! Loads libtorch's CUDA half at run time, so that one binary serves hosts with and without a GPU.
#![allow(unsafe_code)] // dlopen

use std::path::PathBuf;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

/// Loads `libtorch_cuda.so` if it lies beside the `libtorch_cpu.so` in use. `None` if it does not.
pub(super) fn load() -> Option<Result<(), String>> {
    let path = beside_libtorch_cpu()?;
    // SAFETY: the library is the other half of the libtorch that this process already runs; its initializers register
    // CUDA's kernels with it and do nothing else.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) };
    Some(match library {
        Ok(library) => {
            std::mem::forget(library); // registered kernels must stay loaded
            Ok(())
        }
        Err(error) => Err(error.to_string().lines().next().unwrap_or_default().to_owned()),
    })
}

fn beside_libtorch_cpu() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find_map(|line| {
        line.find('/').map(|start| &line[start..]).filter(|path| path.ends_with("/libtorch_cpu.so"))
    })?;
    let cuda = PathBuf::from(path).with_file_name("libtorch_cuda.so");
    cuda.exists().then_some(cuda)
}
