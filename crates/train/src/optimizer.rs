//! AdamW with decoupled weight decay.
//!
//! Own code, because the optimizer that tch wraps keeps its moments to itself, and a run that is to be resumed has to
//! save them.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use kernels::{AdamWStep, adamw, square_sum};
use model::slices;
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
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    parameters: Vec<Parameter>,
    steps: i32,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    variable: Tensor,
    exp_avg: Tensor,    // first moment
    exp_avg_sq: Tensor, // second moment
    weight_decay: f64,
    rate: f64, // its share of the learning rate
}

impl AdamW {
    /// Optimizes `variables`, which share memory with the encoder's.
    pub fn new(variables: BTreeMap<String, Tensor>, config: AdamWConfig) -> Self {
        let layers = variables.keys().filter_map(|name| layer(name)).max().map_or(0, |last| last + 1);
        let parameter = |(name, variable): (String, Tensor)| Parameter {
            exp_avg: variable.zeros_like().detach(),
            exp_avg_sq: variable.zeros_like().detach(),
            weight_decay: if decays(&name) { config.weight_decay } else { 0.0 },
            rate: config.layerwise_decay.powi(layers_above(&name, layers)),
            name,
            variable,
        };
        Self { config, parameters: variables.into_iter().map(parameter).collect(), steps: 0 }
    }

    /// Gives every rank the first one's variables and moments, and each variable a gradient, so that all have the same to
    /// sum.
    pub(crate) fn align(&mut self, ranks: &Ranks) {
        if ranks.count() == 1 {
            return;
        }
        for Parameter { variable, exp_avg, exp_avg_sq, .. } in &mut self.parameters {
            if !variable.grad().defined() {
                (&*variable * 0.0).sum(Kind::Float).backward();
            }
            for tensor in [variable, exp_avg, exp_avg_sq] {
                tch::no_grad(|| through_memory(tensor, |values| ranks.broadcast(values)));
            }
        }
    }

    /// Sums the gradients over all ranks.
    pub(crate) fn sum_gradients(&mut self, ranks: &Ranks) {
        if ranks.count() == 1 {
            return;
        }
        let mut grads: Vec<Tensor> = self.parameters.iter().map(|parameter| parameter.variable.grad()).collect();
        let (mut small, mut large): (Vec<_>, Vec<_>) = grads.iter_mut().partition(|grad| grad.numel() < SENT_ALONE);
        large.iter_mut().for_each(|grad| through_memory(grad, |values| ranks.sum_f32(values)));
        // Most variables are small, and a message of its own for each would take longer than what it holds.
        let mut flat = Vec::new();
        small.iter_mut().for_each(|grad| through_memory(grad, |values| flat.extend_from_slice(values)));
        ranks.sum_f32(&mut flat);
        let mut rest = flat.as_slice();
        for grad in small {
            through_memory(grad, |values| {
                let (own, others) = rest.split_at(values.len());
                values.copy_from_slice(own);
                rest = others;
            });
        }
    }

    /// Norm of the gradients of all variables.
    pub fn grad_norm(&self) -> f64 {
        let norm = |parameter: &Parameter| {
            let grad = parameter.variable.grad();
            match grad.defined() {
                false => 0.0,
                true if grad.device() == Device::Cpu => square_sum(slices::values(&grad)),
                true => grad.square().sum(Kind::Double).double_value(&[]),
            }
        };
        self.parameters.iter().map(norm).sum::<f64>().sqrt()
    }

    /// One step along the gradients times `grad_scale`, and sets them to zero.
    pub fn step(&mut self, learning_rate: f64, grad_scale: f64) {
        self.steps += 1;
        let (beta1, beta2) = self.config.betas;
        let correction1 = 1.0 - beta1.powi(self.steps);
        let correction2 = (1.0 - beta2.powi(self.steps)).sqrt();
        for Parameter { variable, exp_avg, exp_avg_sq, weight_decay, rate, .. } in &mut self.parameters {
            let learning_rate = learning_rate * *rate;
            let step_size = learning_rate / correction1;
            let mut grad = variable.grad();
            if !grad.defined() {
                continue;
            }
            if variable.device() == Device::Cpu {
                let step = AdamWStep {
                    betas: (beta1 as f32, beta2 as f32),
                    eps: self.config.eps as f32,
                    decay: (learning_rate * *weight_decay) as f32,
                    step_size: step_size as f32,
                    correction2: correction2 as f32,
                    grad_scale: grad_scale as f32,
                };
                let [value, grad, exp_avg, exp_avg_sq] =
                    [variable, &mut grad, exp_avg, exp_avg_sq].map(slices::values_mut);
                adamw(&step, value, grad, exp_avg, exp_avg_sq);
                continue;
            }
            tch::no_grad(|| {
                let _ = grad.g_mul_scalar_(grad_scale);
                let _ = variable.g_mul_scalar_(1.0 - learning_rate * *weight_decay);
                let _ = exp_avg.lerp_(&grad, 1.0 - beta1);
                let _ = exp_avg_sq.lerp_(&grad.square(), 1.0 - beta2);
                let denominator = exp_avg_sq.sqrt() / correction2 + self.config.eps;
                let _ = variable.g_sub_(&(&*exp_avg / denominator * step_size));
                let _ = grad.zero_();
            });
        }
    }

    /// Sets every gradient to zero, in place.
    pub fn zero_grad(&mut self) {
        for parameter in &mut self.parameters {
            parameter.variable.zero_grad();
        }
    }

    /// Takes up moments that were saved after `steps` steps; fails, naming the moment, where they are not this
    /// optimizer's.
    pub fn restore(&mut self, mut state: BTreeMap<String, Tensor>, steps: u64) -> anyhow::Result<()> {
        for parameter in &mut self.parameters {
            let moments = [("exp_avg", &mut parameter.exp_avg), ("exp_avg_sq", &mut parameter.exp_avg_sq)];
            for (kind, moment) in moments {
                let name = format!("{kind}.{}", parameter.name);
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
        let moments = |parameter: &Parameter| {
            [
                (format!("exp_avg.{}", parameter.name), parameter.exp_avg.shallow_clone()),
                (format!("exp_avg_sq.{}", parameter.name), parameter.exp_avg_sq.shallow_clone()),
            ]
        };
        self.parameters.iter().flat_map(moments).collect()
    }
}

/// The number of the encoder's layer that a variable belongs to, counted from 0.
fn layer(name: &str) -> Option<i32> {
    name.split_once("encoder.layer.")?.1.split('.').next()?.parse().ok()
}

fn layers_above(name: &str, layers: i32) -> i32 {
    match layer(name) {
        Some(layer) => layers - 1 - layer,
        None if name.contains("embeddings.") => layers,
        None => 0, // a head
    }
}

/// Numbers from which on a gradient is sent by itself.
const SENT_ALONE: usize = 1 << 16;

/// Lets `work` change a tensor's numbers, wherever they are.
fn through_memory(tensor: &mut Tensor, work: impl FnOnce(&mut [f32])) {
    if tensor.device() == Device::Cpu {
        return work(slices::values_mut(tensor));
    }
    let mut here = tensor.to_device(Device::Cpu).contiguous();
    work(slices::values_mut(&mut here));
    tensor.copy_(&here);
}

fn decays(name: &str) -> bool {
    // A head's layer norm has another name than the encoder's.
    !name.ends_with("bias") && !name.contains("LayerNorm") && !name.contains("layer_norm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_below_learns_at_the_decayed_rate() {
        let shares = [
            ("roberta.embeddings.word_embeddings.weight", 0.25),
            ("roberta.embeddings.LayerNorm.bias", 0.25),
            ("roberta.encoder.layer.0.output.dense.weight", 0.5),
            ("roberta.encoder.layer.1.output.dense.weight", 1.0),
            ("lm_head.bias", 1.0),
        ];
        let variable = |(name, _): (&str, f64)| {
            let variable = Tensor::zeros([3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
            (variable.sum(Kind::Float)).backward(); // a gradient of 1
            (name.to_owned(), variable)
        };
        let variables: BTreeMap<String, Tensor> = shares.map(variable).into_iter().collect();
        let held = variables.iter().map(|(name, variable)| (name.clone(), variable.shallow_clone())).collect();
        AdamW::new(held, AdamWConfig { layerwise_decay: 0.5, ..AdamWConfig::default() }).step(0.01, 1.0);
        for (name, share) in shares {
            // The first step of Adam is as long as the learning rate, whatever the gradient.
            let moved = -variables[name].double_value(&[0]);
            assert!((moved - 0.01 * share).abs() < 1e-6, "{name}: {moved}");
        }
    }
}
