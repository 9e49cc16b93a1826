//! Tensors on the processor as slices.
#![allow(unsafe_code)] // tch has no view of a tensor's memory.

use tch::{Device, Kind, Tensor};

fn pointer(tensor: &Tensor) -> *mut f32 {
    assert!(
        tensor.kind() == Kind::Float && tensor.device() == Device::Cpu && tensor.is_contiguous(),
        "a contiguous f32 tensor on the processor"
    );
    tensor.data_ptr().cast()
}

/// The numbers of a contiguous f32 tensor on the processor. Nothing else may change the tensor meanwhile.
///
/// # Panics
/// If the tensor is another one.
pub fn values(tensor: &Tensor) -> &[f32] {
    // SAFETY: the tensor has as many numbers, and lives as long as the slice.
    unsafe { std::slice::from_raw_parts(pointer(tensor), tensor.numel()) }
}

/// The same, to be changed. Nothing else may read or change the tensor meanwhile.
///
/// # Panics
/// If the tensor is another one.
pub fn values_mut(tensor: &mut Tensor) -> &mut [f32] {
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts_mut(pointer(tensor), tensor.numel()) }
}
