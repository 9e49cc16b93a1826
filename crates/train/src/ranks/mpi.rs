//! Ranks over MPI.

use std::{fmt, rc::Rc};

use anyhow::{Context, ensure};
use mpi::{
    Count, Threading,
    collective::SystemOperation,
    datatype::PartitionMut,
    environment::Universe,
    topology::SimpleCommunicator,
    traits::{Communicator, CommunicatorCollectives, Equivalence, Root},
};

/// Numbers that are sent at once: what stays in a core's cache while it is copied and summed, and hides a message's latency.
const BUCKET: usize = 1 << 16;

/// All processes of the launcher. MPI is closed with the last clone.
#[derive(Clone)]
pub(super) struct World(Rc<(SimpleCommunicator, Universe)>);

impl World {
    /// Meets the other processes, `count` in all.
    pub(super) fn join(count: usize) -> anyhow::Result<Self> {
        // Only the main thread calls MPI, beside the threads that compute.
        let (universe, _) = mpi::initialize_with_threading(Threading::Funneled).context("MPI cannot be started")?;
        let world = Self(Rc::new((universe.world(), universe)));
        let met = world.count();
        ensure!(met == count, "the launcher started {count} processes and MPI met {met}: both must be of one MPI");
        Ok(world)
    }

    fn communicator(&self) -> &SimpleCommunicator {
        &self.0.0
    }

    pub(super) fn index(&self) -> usize {
        self.communicator().rank() as usize
    }

    pub(super) fn count(&self) -> usize {
        self.communicator().size() as usize
    }

    pub(super) fn sum<T: Equivalence + Copy>(&self, values: &mut [T]) {
        for bucket in values.chunks_mut(BUCKET) {
            let own = bucket.to_vec();
            self.communicator().all_reduce_into(&own[..], bucket, SystemOperation::sum());
        }
    }

    pub(super) fn gather<T: Equivalence + Copy + Default>(&self, own: &[T]) -> Vec<Vec<T>> {
        let mut counts = vec![0 as Count; self.count()];
        self.communicator().all_gather_into(&(own.len() as Count), &mut counts[..]);
        let starts: Vec<Count> =
            counts.iter().scan(0, |end, count| Some(std::mem::replace(end, *end + count))).collect();
        let mut all = vec![T::default(); counts.iter().sum::<Count>() as usize];
        let mut partition = PartitionMut::new(&mut all[..], &counts[..], &starts[..]);
        self.communicator().all_gather_varcount_into(own, &mut partition);
        counts.iter().zip(&starts).map(|(&count, &start)| all[start as usize..][..count as usize].to_vec()).collect()
    }

    pub(super) fn broadcast<T: Equivalence>(&self, values: &mut [T]) {
        for bucket in values.chunks_mut(BUCKET) {
            self.communicator().process_at_rank(0).broadcast_into(bucket);
        }
    }

    pub(super) fn abort(&self, status: i32) {
        self.communicator().abort(status);
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.index(), self.count())
    }
}
