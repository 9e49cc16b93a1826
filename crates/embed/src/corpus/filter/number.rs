//! Numbers of JSON as the whole numbers that a column stores, exactly.

use serde_json::Number;

/// A number times 10^`scale`: itself twice where that is whole, else the whole number above and the one below. What is beyond
/// 128 bits becomes the end of them, which no column holds.
pub(super) fn scaled(number: &Number, scale: i8) -> (i128, i128) {
    // The shortest digits that stand for the number, as a person wrote it: 0.1, not what 64 bits make of it.
    let text = match number.as_f64() {
        Some(value) if number.is_f64() => format!("{value:e}"),
        _ => number.to_string(),
    };
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let end = if text.starts_with('-') { i128::MIN } else { i128::MAX };
    let (Ok(digits), Ok(exponent)) = (format!("{whole}{fraction}").parse::<i128>(), exponent.parse::<i64>()) else {
        return (end, end);
    };
    let shift = exponent + i64::from(scale) - fraction.len() as i64;
    let power = u32::try_from(shift.unsigned_abs()).ok().and_then(|shift| 10i128.checked_pow(shift));
    match (digits, shift >= 0, power) {
        (0, ..) => (0, 0),
        (_, true, power) => {
            let scaled = power.and_then(|power| digits.checked_mul(power)).unwrap_or(end);
            (scaled, scaled)
        }
        (_, false, Some(power)) => (-(-digits).div_euclid(power), digits.div_euclid(power)),
        // Too small to tell from nothing, and on its own side of it.
        (_, false, None) => {
            if digits > 0 {
                (1, 0)
            } else {
                (0, -1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_scaled_exactly_or_lies_between_two() {
        for (json, scale, expected) in [
            ("4", 0, (4, 4)),
            ("-4.0", 0, (-4, -4)),
            ("2.5", 0, (3, 2)),
            ("-2.5", 0, (-2, -3)),
            ("0.1", 1, (1, 1)),
            ("12.3", 2, (1230, 1230)),
            ("1200", -2, (12, 12)),
            ("1250", -2, (13, 12)),
            ("18446744073709551615", 0, (u64::MAX.into(), u64::MAX.into())),
            ("1e300", 0, (i128::MAX, i128::MAX)),
            ("-1e300", 0, (i128::MIN, i128::MIN)),
            ("1e-300", 0, (1, 0)),
            ("-1e-300", 0, (0, -1)),
            ("0.0", 3, (0, 0)),
        ] {
            assert_eq!(scaled(&json.parse().unwrap(), scale), expected, "{json} · 10^{scale}");
        }
    }
}
