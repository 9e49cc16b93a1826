//! Operators of libtorch that tch does not wrap.
#![allow(unsafe_code)] // calls of C++

use std::ffi::{CStr, c_char};

use tch::{Kind, TchError, Tensor};
use torch_sys::C_tensor;

unsafe extern "C" {
    fn ko_sts_packed_attention(
        output: *mut *mut C_tensor,
        query: *const C_tensor,
        key: *const C_tensor,
        value: *const C_tensor,
        cu_seqlens: *const C_tensor,
        max_seqlen: i64,
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

/// What a call gave.
///
/// # Safety
/// `error` is null, or a text that ends with a zero and stands until this thread's next call.
unsafe fn check(error: *const c_char) -> Result<(), TchError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: as the caller says.
    let text = unsafe { CStr::from_ptr(error) };
    Err(TchError::Torch(text.to_string_lossy().into_owned()))
}

/// Self-attention of a packed batch in one kernel, for CUDA devices: (tokens, heads, head) each to the same. A token attends
/// to those of its own sentence; `cu_seqlens`, (sentences + 1) of i32 on the device, says where each begins, and `max_seqlen`
/// is the number of tokens of the longest. Gradients flow.
///
/// Source: PyTorch, `aten::_efficient_attention_forward`, which its nested tensors and xFormers call likewise.
///
/// # Errors
/// Where libtorch refuses the tensors: it has no kernel for a processor, nor for bf16 on a GPU before Ampere.
pub(crate) fn packed_attention(
    [query, key, value]: [&Tensor; 3],
    cu_seqlens: &Tensor,
    max_seqlen: i64,
) -> Result<Tensor, TchError> {
    let mut output = std::ptr::null_mut();
    // SAFETY: pointers to tensors that outlive the call; its error is read before the next.
    unsafe {
        check(ko_sts_packed_attention(
            &mut output,
            query.as_ptr(),
            key.as_ptr(),
            value.as_ptr(),
            cu_seqlens.as_ptr(),
            max_seqlen,
        ))?;
    }
    // SAFETY: the call succeeded, so that this is a new tensor, and nobody else's.
    Ok(unsafe { Tensor::from_ptr(output) })
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
/// Where a tensor is not as said; and as libtorch has it.
pub fn fused_adamw(
    [value, grad, exp_avg, exp_avg_sq]: [&Tensor; 4],
    steps: &Tensor,
    grad_divisor: &Tensor,
    step: FusedStep,
) -> Result<(), TchError> {
    // libtorch reads and writes as many numbers as there are weights, and looks at no other tensor's size or device.
    let is_alike = |tensor: &Tensor, numbers: usize| {
        tensor.kind() == Kind::Float
            && tensor.device() == value.device()
            && tensor.is_contiguous()
            && tensor.numel() == numbers
    };
    let are_alike = [value, grad, exp_avg, exp_avg_sq].iter().all(|tensor| is_alike(tensor, value.numel()));
    if !are_alike || !is_alike(steps, 1) || !is_alike(grad_divisor, 1) {
        let what = "fused AdamW: expected contiguous f32 tensors on one device, four of one size and two numbers";
        return Err(TchError::Torch(what.to_owned()));
    }
    let FusedStep { learning_rate, betas: (beta1, beta2), weight_decay, eps } = step;
    // SAFETY: pointers to tensors that outlive the call, of the sizes that were looked at; its error is read before the next.
    unsafe {
        check(ko_sts_fused_adamw(
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
        ))
    }
}
