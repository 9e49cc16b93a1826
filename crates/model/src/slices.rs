//! Tensors on the processor as slices.
#![allow(unsafe_code)] // tch has no view of a tensor's memory.

use std::ptr::NonNull;

use tch::{Device, Kind, Tensor};

fn pointer(tensor: &Tensor) -> *mut f32 {
    assert!(
        tensor.kind() == Kind::Float && tensor.device() == Device::Cpu && tensor.is_contiguous(),
        "a contiguous f32 tensor on the processor"
    );
    start(tensor)
}

/// The first number, and for a tensor without any an address that a slice may have.
fn start<T>(tensor: &Tensor) -> *mut T {
    if tensor.numel() == 0 { NonNull::dangling().as_ptr() } else { tensor.data_ptr().cast() }
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

/// The memory of a contiguous tensor on the processor, in any number format.
///
/// # Panics
/// If the tensor is another one.
pub(crate) fn bytes_mut(tensor: &mut Tensor) -> &mut [u8] {
    assert!(tensor.device() == Device::Cpu && tensor.is_contiguous(), "a contiguous tensor on the processor");
    let bytes = tensor.numel() * tensor.kind().elt_size_in_bytes();
    // SAFETY: the tensor has as many bytes, and lives as long as the slice.
    unsafe { std::slice::from_raw_parts_mut(start(tensor), bytes) }
}
