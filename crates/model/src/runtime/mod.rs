//! What a process decides once: the device, the number of threads, the seed.

mod cuda;

use std::{
    fmt,
    io::{self, Write},
    str::FromStr,
    thread,
};

use kernels::Processor;
use tch::Device;

use crate::error::Error;

/// Beyond this, threads take minutes to start and do nothing but wait for each other.
const THREADS_PER_CORE: usize = 16;

/// The device that the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first CUDA device, if one is usable, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// A CUDA device by its number.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "cuda" => Some(0),
            _ => text.strip_prefix("cuda:").and_then(|number| number.parse().ok()),
        };
        number.map(Self::Cuda).ok_or_else(|| "expected auto, cpu or cuda:N".to_owned())
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// Finds the device to compute on, and sets the number of threads, of libtorch as of the kernels; the default is
/// libtorch's, a thread for each core. Call it once, at start.
///
/// # Errors
/// Where there is no such device, `KO_STS_CPU` names no level of processors, more than 16 threads are asked for each that can run at once, or it was called before.
pub fn init(choice: DeviceChoice, threads: Option<usize>) -> Result<Device, Error> {
    Processor::checked().map_err(Error::Unusable)?;
    if let Some(threads) = threads {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let most = cores * THREADS_PER_CORE;
        if threads > most {
            let what =
                format!("{threads} threads are asked for, expected at most {most}: {cores} can run at once here");
            return Err(Error::Unusable(what));
        }
        tch::set_num_threads(threads as i32);
    }
    let threads = threads.unwrap_or(tch::get_num_threads().max(1) as usize);
    if rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().is_err() {
        return Err(Error::Unusable("the number of threads is set already".to_owned()));
    }
    let device = match choice {
        DeviceChoice::Cpu => Device::Cpu,
        DeviceChoice::Auto => {
            if let Some(Err(reason)) = cuda::load() {
                let _ = writeln!(
                    io::stderr(),
                    "warning: computing on the processor, since libtorch_cuda.so does not load: {reason}"
                );
            }
            Device::cuda_if_available()
        }
        DeviceChoice::Cuda(number) => {
            let loaded = cuda::load();
            let devices = tch::Cuda::device_count().max(0) as usize;
            if number >= devices {
                let reason = match loaded {
                    None => "libtorch_cuda.so does not lie beside the libtorch_cpu.so in use".to_owned(),
                    Some(Err(error)) => error,
                    Some(Ok(())) => format!("this machine has {devices}"),
                };
                return Err(Error::Unusable(format!("no CUDA device {number}: {reason}")));
            }
            Device::Cuda(number)
        }
    };
    Ok(device)
}

/// What of the processor is used, in one line.
pub fn processor() -> String {
    Processor::current().to_string()
}

/// Threads that compute.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// Seeds libtorch: weight initialization and dropout.
pub fn manual_seed(seed: u64) {
    tch::manual_seed(seed as i64);
}

/// Most memory that this process has held so far, in bytes; `None` where the system does not say.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes << 10)
}
