//! Learning rate over the steps of a run.

use anyhow::ensure;

use crate::config::Config;

/// Linear warm-up from 0, then linear decay to 0. Source: transformers, `get_linear_schedule_with_warmup`.
#[derive(Clone, Copy, Debug)]
pub struct LinearSchedule {
    /// Steps before the learning rate is at its peak.
    pub warmup_steps: u64,
    /// Steps before it is at 0: those of the whole run, unless that is to end before.
    pub total_steps: u64,
}

impl LinearSchedule {
    /// That of a run whose epochs have so many steps, and the steps of the whole run.
    ///
    /// # Errors
    /// Where the configuration asks for a warm-up or a decay that the run has no room for.
    pub(crate) fn of(config: &Config, steps_per_epoch: u64) -> anyhow::Result<(u64, Self)> {
        let run_steps = (steps_per_epoch * u64::from(config.epochs)).min(config.max_steps.unwrap_or(u64::MAX));
        let total_steps = config.decay_steps.unwrap_or(run_steps);
        ensure!(
            total_steps >= run_steps,
            "train.decay_steps is {total_steps}, expected the {run_steps} steps of the run or more: beyond, nothing is learned"
        );
        let warmup_steps = config.warmup.steps(steps_per_epoch, total_steps)?;
        Ok((run_steps, Self { warmup_steps, total_steps }))
    }

    /// Whether the step at rate 0 with which a warm-up begins is a noticeable share of a run: a twentieth of its steps.
    pub(crate) fn wastes_first_of(&self, steps: u64) -> bool {
        self.warmup_steps > 0 && steps <= 20
    }

    /// Factor on the peak learning rate at a step, counted from 0: the first step of a warm-up is taken at 0.
    pub fn factor(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return step as f64 / self.warmup_steps as f64;
        }
        let decay = (self.total_steps - self.warmup_steps).max(1);
        self.total_steps.saturating_sub(step) as f64 / decay as f64
    }
}
