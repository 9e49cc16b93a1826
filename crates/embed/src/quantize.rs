//! Embeddings in int8: a byte a number, and a scale a vector.

/// Puts integers from −127 to 127 in the place of the numbers of a vector; returns the scale that brings them back.
pub(crate) fn quantize(vector: &[f32], into: &mut [i8]) -> f32 {
    let largest = vector.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let scale = largest / 127.0;
    match scale > 0.0 {
        true => into.iter_mut().zip(vector).for_each(|(rounded, x)| *rounded = (x / scale).round() as i8),
        false => into.fill(0),
    }
    scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_number_is_127_and_none_is_off_by_more_than_half_a_step() {
        let vector = [0.5, -2.0, 0.01, 1.999, 0.0];
        let mut rounded = [1; 5];
        let scale = quantize(&vector, &mut rounded);
        assert_eq!((rounded[1], rounded[4]), (-127, 0));
        for (x, rounded) in vector.iter().zip(rounded) {
            assert!((x - f32::from(rounded) * scale).abs() <= scale / 2.0 * 1.0001, "{x}");
        }
        assert_eq!((quantize(&[0.0; 5], &mut rounded), rounded), (0.0, [0; 5]));
    }
}
