//! A tensor's numbers as plain Rust memory: copied, or as slices whose contract the caller keeps.
//!
//! tch has no view of a tensor's memory, and cannot have a safe one: `Tensor::shallow_clone` gives a second handle to the same
//! memory, through which safe code may write or free it while the slice lives. What need not be fast is copied.
#![allow(unsafe_code)] // Its head says why.

use std::{
    io::{self, Read},
    ptr::NonNull,
};

use tch::{Device, Kind, TchError, Tensor};

/// Bytes of a file that are on their way to a tensor.
const PIECE: usize = 1 << 20;

/// A tensor's numbers in row-major order, copied as f32 from wherever they are.
///
/// # Errors
/// Where libtorch cannot bring them to the processor.
pub fn to_vec(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let here = tensor.detach().f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let mut values = vec![0.0; here.numel()];
    here.f_copy_data(&mut values, here.numel())?;
    Ok(values)
}

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

/// The numbers of a contiguous f32 tensor on the processor.
///
/// # Safety
/// All numbers were written once (not `Tensor::empty`). While the slice lives, nothing writes them, and no handle to the
/// tensor gives it other memory (`set_data`, `resize_`, operators in place).
///
/// # Panics
/// If the tensor is another one.
pub unsafe fn values(tensor: &Tensor) -> &[f32] {
    // SAFETY: the tensor has as many numbers, and the caller keeps them as they are.
    unsafe { std::slice::from_raw_parts(pointer(tensor), tensor.numel()) }
}

/// The same, to be changed.
///
/// # Safety
/// As of [`values`]; and while the slice lives, nothing else reads the numbers, through whichever handle.
///
/// # Panics
/// If the tensor is another one.
pub unsafe fn values_mut(tensor: &mut Tensor) -> &mut [f32] {
    // SAFETY: the tensor has as many numbers, and the caller leaves them to the slice alone.
    unsafe { std::slice::from_raw_parts_mut(pointer(tensor), tensor.numel()) }
}

/// A new tensor on the processor with the next bytes of a file, in the processor's byte order.
pub(crate) fn read(file: &mut impl Read, shape: &[i64], kind: Kind) -> io::Result<Tensor> {
    let tensor = Tensor::f_empty(shape, (kind, Device::Cpu)).map_err(io::Error::other)?;
    let (mut to, mut left): (*mut u8, usize) = (start(&tensor), tensor.numel() * kind.elt_size_in_bytes());
    let mut piece = vec![0; left.min(PIECE)];
    while left > 0 {
        let piece = &mut piece[..left.min(PIECE)];
        file.read_exact(piece)?;
        // SAFETY: the tensor is new, so nobody else knows its memory, of which `left` bytes begin at `to`. It is not yet
        // written, so there is no slice of it: the bytes are copied by address.
        unsafe {
            to.copy_from_nonoverlapping(piece.as_ptr(), piece.len());
            to = to.add(piece.len());
        }
        left -= piece.len();
    }
    Ok(tensor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_becomes_a_tensor_to_its_last_byte_or_an_error() {
        let numbers: Vec<f32> = (0..PIECE / 4 + 3).map(|x| x as f32).collect();
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_ne_bytes()).collect();
        let shape = [numbers.len() as i64];
        assert_eq!(to_vec(&read(&mut bytes.as_slice(), &shape, Kind::Float).unwrap()).unwrap(), numbers);
        assert!(read(&mut &bytes[1..], &shape, Kind::Float).is_err());
        assert_eq!(read(&mut [].as_slice(), &[0, 3], Kind::Float).unwrap().size(), [0, 3]);
    }

    #[test]
    fn numbers_are_copied_in_the_order_of_rows_whatever_their_layout_and_format() {
        let square = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]).view((2, 2));
        assert_eq!(to_vec(&square.tr()).unwrap(), [1.0, 3.0, 2.0, 4.0]);
        assert_eq!(to_vec(&square.to_kind(Kind::BFloat16).set_requires_grad(true)).unwrap(), [1.0, 2.0, 3.0, 4.0]);
    }
}
