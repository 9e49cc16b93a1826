//! Operators of libtorch that tch does not wrap.
#![allow(unsafe_code)] // calls of C++

use std::ffi::{CStr, c_char};

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

unsafe extern "C" {
    fn ko_sts_packed_attention(
        output: *mut *mut C_tensor,
        query: *const C_tensor,
        key: *const C_tensor,
        value: *const C_tensor,
        starts: *const C_tensor,
        longest: i64,
        dropout: f64,
    ) -> *const c_char;

    fn ko_sts_fused_adamw(
        value: *const C_tensor,
        grad: *const C_tensor,
        exp_avg: *const C_tensor,
        exp_avg_sq: *const C_tensor,
        steps: *const C_tensor,
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        grad_divisor: *const C_tensor,
    ) -> *const c_char;
}

fn check(error: *const c_char) -> Result<(), TchError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: a text that ends with a zero, and stands until this thread's next call.
    let text = unsafe { CStr::from_ptr(error) };
    Err(TchError::Torch(text.to_string_lossy().into_owned()))
}

/// Self-attention of a packed batch in one kernel, for CUDA devices: (tokens, heads, head) each to the same. A token attends
/// to those of its own sentence; `starts`, (sentences + 1) of i32 on the device, says where each begins, and `longest` is the
/// number of tokens of the longest. Gradients flow.
///
/// Source: PyTorch, `aten::_efficient_attention_forward`, which its nested tensors and xFormers call likewise.
pub(crate) fn packed_attention(
    [query, key, value]: [&Tensor; 3],
    starts: &Tensor,
    longest: i64,
    dropout: f64,
) -> Result<Tensor, TchError> {
    let mut output = std::ptr::null_mut();
    // SAFETY: pointers to tensors that outlive the call; the output is a tensor of its own.
    unsafe {
        check(ko_sts_packed_attention(
            &mut output,
            query.as_ptr(),
            key.as_ptr(),
            value.as_ptr(),
            starts.as_ptr(),
            longest,
            dropout,
        ))?;
        Ok(Tensor::from_ptr(output))
    }
}

/// What a step of [`fused_adamw`] is taken with.
#[derive(Clone, Copy, Debug)]
pub struct FusedStep {
    /// The learning rate.
    pub learning_rate: f64,
    /// Decay rates of the first and the second moment.
    pub betas: (f64, f64),
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
}

/// A step of AdamW in one pass over memory, on weights, gradient, first and second moment: tensors of equal size in f32,
/// which it changes, on one device. `steps` counts the steps, this one included, and `grad_divisor` is what the
/// gradient is divided by first: one number of f32 each, on the device.
///
/// Source: PyTorch, `aten::_fused_adamw_`, behind `torch.optim.AdamW(fused=True)`.
///
/// # Errors
/// Where libtorch refuses the tensors.
pub fn fused_adamw(
    [value, grad, exp_avg, exp_avg_sq]: [&Tensor; 4],
    steps: &Tensor,
    grad_divisor: &Tensor,
    step: FusedStep,
) -> Result<(), TchError> {
    let FusedStep { learning_rate, betas: (beta1, beta2), weight_decay, eps } = step;
    // SAFETY: pointers to tensors that outlive the call.
    check(unsafe {
        ko_sts_fused_adamw(
            value.as_ptr(),
            grad.as_ptr(),
            exp_avg.as_ptr(),
            exp_avg_sq.as_ptr(),
            steps.as_ptr(),
            learning_rate,
            beta1,
            beta2,
            weight_decay,
            eps,
            grad_divisor.as_ptr(),
        )
    })
}
