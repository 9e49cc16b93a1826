//! Gradient clipping by norm.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

/// Scales the gradients down to a total norm of at most `max_norm` and returns their norm before. Source:
/// `torch.nn.utils.clip_grad_norm_`.
pub fn clip_grad_norm(variables: &BTreeMap<String, Tensor>, max_norm: f64) -> f64 {
    let mut gradients: Vec<Tensor> = variables.values().map(Tensor::grad).filter(Tensor::defined).collect();
    tch::no_grad(|| {
        let norms: Vec<Tensor> = gradients.iter().map(Tensor::norm).collect();
        let total = Tensor::stack(&norms, 0).to_kind(Kind::Float).norm().double_value(&[]);
        let scale = max_norm / (total + 1e-6);
        if scale < 1.0 {
            for gradient in &mut gradients {
                let _ = gradient.g_mul_scalar_(scale);
            }
        }
        total
    })
}
