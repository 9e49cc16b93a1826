//! What a run was made by: program, library, device.

use std::process::Command;

use model::runtime;
use serde::Serialize;
use tch::Device;

/// The libtorch that the pinned `tch` binds; its build script refuses another.
const LIBTORCH: &str = "2.11.0";

/// The machine and the program of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    version: &'static str,
    /// That the program was built from, if the build knew it.
    commit: Option<&'static str>,
    libtorch: &'static str,
    pub(crate) device: String,
    gpu: Option<String>,
    processor: Option<String>,
    /// What of it is used.
    instructions: String,
    /// Of each process.
    pub(crate) threads: usize,
    /// That shared the run.
    pub(crate) processes: usize,
}

impl Machine {
    pub(crate) fn new(device: Device, processes: usize) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("KO_STS_COMMIT"),
            libtorch: LIBTORCH,
            device: format!("{device:?}").to_lowercase(),
            gpu: gpu(device),
            processor: processor(),
            instructions: runtime::processor(),
            threads: runtime::threads(),
            processes,
        }
    }

    /// Name and value of each part, for a table.
    pub(crate) fn parts(&self) -> [(&'static str, String); 6] {
        let commit = self.commit.map_or(String::new(), |commit| format!(", commit {commit}"));
        let threads = match self.processes {
            1 => self.threads.to_string(),
            processes => format!("{} in each of {processes} processes", self.threads),
        };
        [
            ("ko-sts", format!("{}{commit}", self.version)),
            ("libtorch", self.libtorch.to_owned()),
            ("device", self.device.clone() + &self.gpu.as_ref().map_or(String::new(), |gpu| format!(", {gpu}"))),
            ("processor", self.processor.clone().unwrap_or_else(|| "unknown".to_owned())),
            ("instructions", self.instructions.clone()),
            ("threads", threads),
        ]
    }
}

/// The name of the GPU in use. Source: the driver's own tool, since `tch` has no question for it.
fn gpu(device: Device) -> Option<String> {
    let Device::Cuda(index) = device else { return None };
    // CUDA counts the devices that it may see, by number or UUID; the tool takes either.
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    let id = visible.and_then(|ids| Some(ids.split(',').nth(index)?.trim().to_owned())).unwrap_or(index.to_string());
    let query = ["--query-gpu=name", "--format=csv,noheader", "--id", &id];
    let output = Command::new("nvidia-smi").args(query).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(name.trim_start_matches([' ', '\t', ':']).to_owned())
}
