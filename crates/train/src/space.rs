//! Whether a run fits the disk.

use std::{fs, path::Path};

use anyhow::{Context, ensure};

use crate::config::{Config, ModelSource};

/// Of the weights in f32: two checkpoints, two moments, and what takes the place of one of them meanwhile.
const COPIES: u64 = 6;

/// Fails where the disk has less room than a run surely needs. What a fresh encoder needs is not known before; it is small.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    let ModelSource::Init(model) = &config.model else { return Ok(()) };
    let Some(weights) = weights_bytes(model) else { return Ok(()) }; // a model of the hub, or none
    let output = std::path::absolute(&config.output)?;
    let there = output.ancestors().find(|dir| dir.exists()).unwrap_or(&output); // it is made later
    let needed = COPIES * weights;
    let disk = rustix::fs::statvfs(there).with_context(|| output.display().to_string())?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let gibibytes = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    ensure!(
        free >= needed,
        "{}: the run needs about {:.1} GiB for its checkpoints, and {:.1} GiB are free: choose another --output",
        output.display(),
        gibibytes(needed),
        gibibytes(free)
    );
    Ok(())
}

/// Bytes of the weights in a model's directory.
fn weights_bytes(dir: &Path) -> Option<u64> {
    let is_weights = |name: &str| name.ends_with(".safetensors") || name.ends_with(".bin") && name.contains("model");
    let files = fs::read_dir(dir).ok()?.filter_map(|entry| {
        let entry = entry.ok()?;
        let is_counted = is_weights(&entry.file_name().to_string_lossy());
        is_counted.then(|| fs::metadata(entry.path()).map(|file| file.len()).unwrap_or(0))
    });
    Some(files.sum())
}
