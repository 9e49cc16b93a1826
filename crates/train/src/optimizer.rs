//! AdamW with decoupled weight decay.
//!
//! Own code, because the optimizer that tch wraps keeps its moments to itself, and a run that is to be resumed has to
//! save them.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use anyhow::{Context, ensure};
use kernels::{AdamWStep, adamw, square_sum};
use model::{
    architecture::{Depth, Variable as Described},
    gradient,
    operators::{FusedStep, fused_adamw},
    slices,
};
use tch::{Device, Kind, Tensor};

use crate::ranks::Ranks;

/// Hyperparameters that stay the same through a run.
#[derive(Clone, Copy, Debug)]
pub struct AdamWConfig {
    /// Decay rates of the first and the second moment.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay; biases and layer norms have none.
    pub weight_decay: f64,
    /// Factor on the learning rate of a layer for each layer above it: the last layer and all above learn at the full
    /// rate, the token embeddings at this to the number of layers. Source: ELECTRA (Clark et al. 2020), appendix A.
    pub layerwise_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.01, layerwise_decay: 1.0 }
    }
}

/// AdamW over named variables. Source: `torch.optim.AdamW`, whose steps it repeats.
///
/// Weights, gradients and moments lie in one tensor each, of whose first two the encoder's variables and their gradients are
/// views: what is done to all of them is done in one go.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    variables: Vec<Variable>,
    groups: Vec<Group>,
    values: Tensor,
    grads: Tensor,
    exp_avg: Tensor,    // first moment
    exp_avg_sq: Tensor, // second moment
    steps: i32,
}

/// A variable's place.
#[derive(Debug)]
struct Variable {
    name: String,
    start: i64,
    shape: Vec<i64>,
}

/// Neighbouring variables that learn alike.
#[derive(Debug)]
struct Group {
    range: Range<i64>, // of the numbers
    weight_decay: f64,
    rate: f64, // its share of the learning rate
}

impl AdamW {
    /// Optimizes `variables`, which are in f32 and on one device, and moves them and their gradients into its own tensors.
    ///
    /// # Panics
    /// If a variable requires no gradient, or is not described.
    pub fn new(variables: BTreeMap<String, Tensor>, described: &[Described], config: AdamWConfig) -> Self {
        let by_name: HashMap<&str, &Described> = described.iter().map(|one| (one.name.as_str(), one)).collect();
        let layers = described.iter().map(|one| if let Depth::Layer(index) = one.depth { index + 1 } else { 0 }).max();
        let layers = layers.unwrap_or_default() as i32;
        let device = variables.values().next().map_or(Device::Cpu, Tensor::device);
        let mut alike: BTreeMap<(bool, i32), Vec<(String, Tensor)>> = BTreeMap::new();
        for (name, variable) in variables {
            let described = by_name[name.as_str()];
            let above = if config.layerwise_decay == 1.0 { 0 } else { layers_above(described.depth, layers) };
            let group = (described.role.decays(), above);
            alike.entry(group).or_default().push((name, variable));
        }
        let mut end = 0;
        let (mut places, mut groups, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for ((decays, above), variables) in alike {
            let first = end;
            for (name, variable) in variables {
                places.push(Variable { name, start: end, shape: variable.size() });
                end += variable.numel().next_multiple_of(ALIGNMENT) as i64;
                held.push(variable);
            }
            let weight_decay = if decays { config.weight_decay } else { 0.0 };
            groups.push(Group { range: first..end, weight_decay, rate: config.layerwise_decay.powi(above) });
        }
        let zeros = || Tensor::zeros([end], (Kind::Float, device));
        let optimizer = Self {
            config,
            variables: places,
            groups,
            values: zeros(),
            grads: zeros(),
            exp_avg: zeros(),
            exp_avg_sq: zeros(),
            steps: 0,
        };
        for (place, mut variable) in optimizer.variables.iter().zip(held) {
            let (mut value, mut grad) = (place.of(&optimizer.values), place.of(&optimizer.grads));
            let mut own = gradient(&variable);
            tch::no_grad(|| {
                value.copy_(&variable);
                variable.set_data(&value);
                grad.copy_(&own);
                own.set_data(&grad);
            });
        }
        optimizer
    }

    /// Gives every rank the first one's variables and moments.
    pub(crate) fn align(&mut self, ranks: &Ranks) {
        if ranks.count() > 1 {
            for tensor in [&mut self.values, &mut self.exp_avg, &mut self.exp_avg_sq] {
                through_memory(tensor, |values| ranks.broadcast(values));
            }
        }
    }

    /// Sums the gradients over all ranks.
    pub(crate) fn sum_gradients(&mut self, ranks: &Ranks) {
        if ranks.count() > 1 {
            through_memory(&mut self.grads, |values| ranks.sum_f32(values));
        }
    }

    /// Norm of the gradients of all variables.
    pub fn grad_norm(&self) -> f64 {
        match self.grads.device() {
            // SAFETY: nothing changes a gradient while the optimizer looks at it; the two methods above and below likewise.
            #[allow(unsafe_code)]
            Device::Cpu => square_sum(unsafe { slices::values(&self.grads) }).sqrt(),
            _ => self.grads.linalg_norm(2.0, None::<i64>, false, Kind::Double).double_value(&[]),
        }
    }

    /// One step along the gradients times `grad_scale`, and sets them to zero.
    pub fn step(&mut self, learning_rate: f64, grad_scale: f64) {
        self.steps += 1;
        match self.values.device() {
            Device::Cpu => (0..self.groups.len()).for_each(|group| self.step_here(group, learning_rate, grad_scale)),
            _ => self.step_fused(learning_rate, grad_scale),
        }
    }

    /// A step of one group by the processor's kernel, which sets the gradients to zero.
    fn step_here(&mut self, group: usize, learning_rate: f64, grad_scale: f64) {
        let Group { ref range, weight_decay, rate } = self.groups[group];
        let (learning_rate, (beta1, beta2)) = (learning_rate * rate, self.config.betas);
        let step = AdamWStep {
            betas: (beta1 as f32, beta2 as f32),
            eps: self.config.eps as f32,
            decay: (learning_rate * weight_decay) as f32,
            step_size: (learning_rate / (1.0 - beta1.powi(self.steps))) as f32,
            correction2: (1.0 - beta2.powi(self.steps)).sqrt() as f32,
            grad_scale: grad_scale as f32,
        };
        let range = range.start as usize..range.end as usize;
        // SAFETY: four tensors of the optimizer's own, each with memory of its own. The model's variables are views of
        // `values`, and no pass over the model is under way during a step.
        #[allow(unsafe_code)]
        let [value, grad, exp_avg, exp_avg_sq] =
            [&mut self.values, &mut self.grads, &mut self.exp_avg, &mut self.exp_avg_sq]
                .map(|tensor| unsafe { &mut slices::values_mut(tensor)[range.clone()] });
        adamw(&step, value, grad, exp_avg, exp_avg_sq);
    }

    /// The step by libtorch's kernel, and the gradients to zero.
    fn step_fused(&mut self, learning_rate: f64, grad_scale: f64) {
        let number = |number: f64| Tensor::from_slice(&[number as f32]).to_device(self.values.device()).squeeze();
        let (steps, grad_divisor) = (number(f64::from(self.steps)), number(1.0 / grad_scale));
        for &Group { ref range, weight_decay, rate } in &self.groups {
            let step = FusedStep {
                learning_rate: learning_rate * rate,
                betas: self.config.betas,
                weight_decay,
                eps: self.config.eps,
            };
            let [value, grad, exp_avg, exp_avg_sq] = [&self.values, &self.grads, &self.exp_avg, &self.exp_avg_sq]
                .map(|tensor| tensor.narrow(0, range.start, range.end - range.start));
            fused_adamw([&value, &grad, &exp_avg, &exp_avg_sq], &steps, &grad_divisor, step)
                .expect("tensors of one size on one device");
        }
        self.zero_grad();
    }

    /// Sets every gradient to zero, in place.
    pub fn zero_grad(&mut self) {
        let _ = self.grads.zero_();
    }

    /// Takes up moments that were saved after `steps` steps; fails, naming the moment, where they are not this
    /// optimizer's.
    pub fn restore(&mut self, mut state: BTreeMap<String, Tensor>, steps: u64) -> anyhow::Result<()> {
        for place in &self.variables {
            for (kind, moments) in [("exp_avg", &self.exp_avg), ("exp_avg_sq", &self.exp_avg_sq)] {
                let (name, mut moment) = (format!("{kind}.{}", place.name), place.of(moments));
                let saved = state.remove(&name).with_context(|| format!("moment `{name}` is missing"))?;
                ensure!(
                    saved.size() == moment.size(),
                    "moment `{name}` has shape {:?}, expected {:?}",
                    saved.size(),
                    moment.size()
                );
                moment.f_copy_(&saved).with_context(|| format!("moment `{name}`"))?;
            }
        }
        self.steps = i32::try_from(steps)?;
        Ok(())
    }

    /// The moments by name, for saving: `exp_avg.NAME` and `exp_avg_sq.NAME`.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let moments = |place: &Variable| {
            [("exp_avg", &self.exp_avg), ("exp_avg_sq", &self.exp_avg_sq)]
                .map(|(kind, moments)| (format!("{kind}.{}", place.name), place.of(moments)))
        };
        self.variables.iter().flat_map(moments).collect()
    }
}

impl Variable {
    /// The view of it in a tensor that holds all.
    fn of(&self, all: &Tensor) -> Tensor {
        all.narrow(0, self.start, self.shape.iter().product()).view(self.shape.as_slice())
    }
}

/// Variables begin at multiples of this many numbers, a line of a processor's cache.
const ALIGNMENT: usize = 16;

fn layers_above(depth: Depth, layers: i32) -> i32 {
    match depth {
        Depth::Embeddings => layers,
        Depth::Layer(index) => layers - 1 - index as i32,
        Depth::Head => 0,
    }
}

/// Lets `work` change a tensor's numbers, wherever they are.
fn through_memory(tensor: &mut Tensor, work: impl FnOnce(&mut [f32])) {
    if tensor.device() == Device::Cpu {
        // SAFETY: one of the optimizer's tensors, as in a step; `work` sends and receives, and knows no tensor.
        #[allow(unsafe_code)]
        return work(unsafe { slices::values_mut(tensor) });
    }
    let mut here = slices::to_vec(tensor).expect("memory for a copy of a tensor");
    work(&mut here);
    tch::no_grad(|| tensor.copy_(&Tensor::from_slice(&here).view_as(tensor)));
}

#[cfg(test)]
mod tests {
    use model::architecture::Role;

    use super::*;

    fn one(name: &str, role: Role, depth: Depth, shape: &[i64]) -> Described {
        Described { name: name.to_owned(), shape: shape.to_vec(), role, depth }
    }

    #[test]
    fn each_layer_below_learns_at_the_decayed_rate() {
        let shares = [
            ("table", Depth::Embeddings, 0.25),
            ("first", Depth::Layer(0), 0.5),
            ("second", Depth::Layer(1), 1.0),
            ("head", Depth::Head, 1.0),
        ];
        let described = shares.map(|(name, depth, _)| one(name, Role::Weight, depth, &[3]));
        let variable = |(name, ..): (&str, _, _)| {
            let variable = Tensor::zeros([3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
            (variable.sum(Kind::Float)).backward(); // a gradient of 1
            (name.to_owned(), variable)
        };
        let variables: BTreeMap<String, Tensor> = shares.map(variable).into_iter().collect();
        let held = variables.iter().map(|(name, variable)| (name.clone(), variable.shallow_clone())).collect();
        let config = AdamWConfig { layerwise_decay: 0.5, ..AdamWConfig::default() };
        AdamW::new(held, &described, config).step(0.01, 1.0);
        for (name, _, share) in shares {
            // The first step of Adam is as long as the learning rate, whatever the gradient.
            let moved = -variables[name].double_value(&[0]);
            assert!((moved - 0.01 * share).abs() < 1e-6, "{name}: {moved}");
        }
    }

    /// The processor's own kernel beside the operator that a GPU is given, here on a processor.
    #[test]
    fn both_kernels_take_the_same_steps() {
        tch::manual_seed(7);
        let described = [
            one("0.weight", Role::Weight, Depth::Layer(0), &[5, 7]),
            one("1.bias", Role::Bias, Depth::Layer(1), &[3]),
            one("1.weight", Role::Weight, Depth::Layer(1), &[33]),
        ];
        let draw = |one: &Described| (one.name.clone(), Tensor::randn(&one.shape, (Kind::Float, Device::Cpu)));
        let drawn = described.each_ref().map(draw);
        let config = AdamWConfig { layerwise_decay: 0.5, weight_decay: 0.1, ..AdamWConfig::default() };
        let begin = || {
            let copy = |(name, drawn): &(String, Tensor)| (name.clone(), drawn.copy().set_requires_grad(true));
            let variables: BTreeMap<String, Tensor> = drawn.iter().map(copy).collect();
            let held: Vec<Tensor> = variables.values().map(Tensor::shallow_clone).collect();
            (AdamW::new(variables, &described, config), held)
        };
        let ((mut ours, our_variables), (mut theirs, their_variables)) = (begin(), begin());
        for step in 1..=5 {
            for variable in our_variables.iter().chain(&their_variables) {
                (variable.square() * f64::from(step)).sum(Kind::Float).backward();
            }
            ours.step(0.01, 0.3);
            theirs.steps += 1;
            theirs.step_fused(0.01, 0.3);
        }
        for ((name, drawn), (ours, theirs)) in drawn.iter().zip(our_variables.iter().zip(&their_variables)) {
            assert!(ours.allclose(theirs, 1e-5, 1e-6, false), "{name}: {ours} {theirs}");
            assert!(!ours.allclose(drawn, 1e-3, 1e-3, false), "{name} learned");
        }
        let (ours, theirs) = (ours.state(), theirs.state());
        assert!(ours.iter().all(|(name, moment)| moment.allclose(&theirs[name], 1e-5, 1e-6, false)));
    }
}
