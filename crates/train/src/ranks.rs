//! The processes that share a run: each computes a part of every batch, and all take the same steps.

#[cfg(feature = "mpi")]
mod mpi;
mod voice;

use std::{env, ops::Range};

#[cfg(not(feature = "mpi"))]
use anyhow::bail;
use anyhow::ensure;
use model::slices;
use sha2::{Digest, Sha256};
use tch::{Device, Tensor};

pub use voice::Voice;

/// Some of the processes that a launcher such as `mpirun` or `srun` started together; alone unless it did.
///
/// Every rank has to call the same of these functions in the same order: each waits for the others.
#[derive(Clone, Debug, Default)]
pub struct Ranks {
    #[cfg(feature = "mpi")]
    world: Option<mpi::World>,
}

/// Numbers of all ranks, in their order.
pub(crate) type Gathered<T> = Vec<Vec<T>>;

impl Ranks {
    /// A process by itself.
    pub fn alone() -> Self {
        Self::default()
    }

    /// The ranks that this process was started with.
    ///
    /// # Errors
    /// Where there are several and this program was built without MPI, so that each would be a run of its own.
    pub fn of_launcher() -> anyhow::Result<Self> {
        let size = |name: &str| env::var(name).ok()?.parse::<usize>().ok();
        // Open MPI; MPICH and Slurm's PMI 2; Slurm's PMIx, which tells a process its rank alone.
        let is_launched = env::var_os("PMIX_RANK").is_some();
        let count = size("OMPI_COMM_WORLD_SIZE").or_else(|| size("PMI_SIZE"));
        let count = count.or_else(|| size("SLURM_STEP_NUM_TASKS").filter(|_| is_launched)).unwrap_or(1);
        if count == 1 {
            return Ok(Self::alone());
        }
        #[cfg(feature = "mpi")]
        return Ok(Self { world: Some(mpi::World::join(count)?) });
        #[cfg(not(feature = "mpi"))]
        bail!(
            "this is one of {count} processes, and train was built without MPI: build it by \
             cargo build --release --bins --features train/mpi"
        )
    }

    /// This process's number, from 0.
    pub fn index(&self) -> usize {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            return world.index();
        }
        0
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            return world.count();
        }
        1
    }

    /// Whether this is the one that logs and saves.
    pub fn is_first(&self) -> bool {
        self.index() == 0
    }

    /// This process's share of `len` things: all shares in the ranks' order are the whole, and no two differ by more than one.
    pub fn share(&self, len: usize) -> Range<usize> {
        let bound = |index: usize| (index * len).div_ceil(self.count()); // so that the first has one if any has
        bound(self.index())..bound(self.index() + 1)
    }

    /// The GPU of this rank, where `found` is the machine's first: each rank of a machine has its own.
    ///
    /// # Errors
    /// Where the machine has fewer GPUs than ranks.
    pub fn device(&self, found: Device) -> anyhow::Result<Device> {
        let place = |name: &str| env::var(name).ok()?.parse::<usize>().ok();
        let names = ["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"];
        let (Device::Cuda(_), Some(place)) = (found, names.into_iter().find_map(place)) else { return Ok(found) };
        let count = tch::Cuda::device_count();
        ensure!(
            (place as i64) < count,
            "rank {} needs the GPU numbered {place}, and sees {count}; where each rank sees its own alone, --device cuda:0",
            self.index()
        );
        Ok(Device::Cuda(place))
    }

    /// Sums each number over all ranks.
    pub(crate) fn sum(&self, values: &mut [f64]) {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            world.sum(values);
        }
        let _ = values;
    }

    /// The same for gradients.
    pub(crate) fn sum_f32(&self, values: &mut [f32]) {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            world.sum(values);
        }
        let _ = values;
    }

    /// The numbers of every rank.
    pub(crate) fn gather(&self, own: &[f64]) -> Gathered<f64> {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            return world.gather(own);
        }
        vec![own.to_vec()]
    }

    /// The same for embeddings.
    pub(crate) fn gather_f32(&self, own: &[f32]) -> Gathered<f32> {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            return world.gather(own);
        }
        vec![own.to_vec()]
    }

    /// Gives every rank the numbers that the first one makes.
    pub(crate) fn of_first(&self, make: impl FnOnce() -> anyhow::Result<Vec<f64>>) -> anyhow::Result<Vec<f64>> {
        let own = if self.is_first() { make()? } else { Vec::new() };
        Ok(self.gather(&own).concat())
    }

    /// Gives every rank the first one's numbers.
    pub(crate) fn broadcast(&self, values: &mut [f32]) {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            world.broadcast(values);
        }
        let _ = values;
    }

    /// A tensor's rows on all ranks, (rows of all, …), in their order; gradients flow to this rank's own.
    pub(crate) fn complete(&self, own: &Tensor) -> Tensor {
        if self.count() == 1 {
            return own.shallow_clone();
        }
        let values = slices::to_vec(own).expect("a tensor that was just computed");
        let row_shape = own.size().split_off(1);
        let row = row_shape.iter().product::<i64>();
        let rows = |(rank, values): (usize, Vec<f32>)| match rank == self.index() {
            true => own.shallow_clone(),
            false => {
                let shape = [&[values.len() as i64 / row], &row_shape[..]].concat();
                Tensor::from_slice(&values).view(&shape[..]).to_device(own.device())
            }
        };
        let all: Vec<Tensor> = self.gather_f32(&values).into_iter().enumerate().map(rows).collect();
        Tensor::cat(&all, 0)
    }

    /// The seed of what this rank draws, where that of one process is `seed`: dropout hides other places of each share.
    pub(crate) fn seed(&self, seed: u64) -> u64 {
        seed.wrapping_add((self.index() as u64) << 40)
    }

    /// The signal that any rank got.
    pub(crate) fn signal(&self, own: Option<u8>) -> Option<u8> {
        let own = own.map_or(0.0, f64::from);
        let largest = self.gather(&[own]).concat().into_iter().fold(0.0, f64::max);
        (largest > 0.0).then_some(largest as u8)
    }

    /// Does what only one may do at a time: the first rank first, and the others when it is done.
    pub(crate) fn in_turn<T>(&self, work: impl FnOnce() -> T) -> T {
        if !self.is_first() {
            self.wait();
        }
        let done = work();
        if self.is_first() {
            self.wait();
        }
        done
    }

    /// Waits until every rank is here, and fails unless all have the same data, configuration and saved state.
    pub(crate) fn check_alike(&self, what: &str) -> anyhow::Result<()> {
        // As numbers that are exact.
        let digest: Vec<f64> = Sha256::digest(what)
            .chunks(4)
            .map(|bytes| bytes.iter().fold(0.0, |number, &byte| number * 256.0 + f64::from(byte)))
            .collect();
        let all = self.gather(&digest);
        let other = all.iter().position(|other| *other != all[0]);
        ensure!(
            other.is_none(),
            "rank {} has other data, another configuration or another saved state than rank 0: all ranks need the same \
             --data-dir and --output",
            other.unwrap_or_default()
        );
        Ok(())
    }

    /// Waits until every rank is here.
    pub(crate) fn wait(&self) {
        self.sum(&mut [0.0]);
    }

    /// Ends all ranks at once, whatever they are doing.
    pub fn abort(&self, status: i32) {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            world.abort(status);
        }
        let _ = status;
    }
}
