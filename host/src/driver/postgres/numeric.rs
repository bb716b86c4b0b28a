//! `numeric` between the wire and decimal text, without loss.

use std::io::Write;

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// Digits before the point at most, as on the server.
const MAX_BEFORE_POINT: i64 = 131_072;
/// Digits after the point at most, as on the server.
const MAX_SCALE: i64 = 16_383;

/// Appends the decimal text of a value, trailing zeros of its scale included.
pub(super) fn read(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    const SHORT: &str = "a numeric that ends too early";
    let field =
        |index: usize| bytes.get(index * 2..index * 2 + 2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).ok_or(SHORT);
    let count = i64::from(field(0)?);
    let weight = i64::from(field(1)?.cast_signed());
    let sign = field(2)?;
    let scale = usize::from(field(3)?);
    match sign {
        POSITIVE => {}
        NEGATIVE => out.push(b'-'),
        NAN | INFINITY | NEGATIVE_INFINITY => {
            let name: &[u8] = match sign {
                NAN => b"NaN",
                INFINITY => b"Infinity",
                _ => b"-Infinity",
            };
            out.extend(name);
            return Ok(());
        }
        _ => return Err("a numeric of an unknown sign"),
    }
    // Groups of four digits; the one at `weight` 0 stands just before the point.
    let group = |place: i64| match weight - place {
        index if (0..count).contains(&index) => field(4 + usize::try_from(index).map_err(|_| SHORT)?),
        _ => Ok(0),
    };
    let written = "writing to memory";
    if weight < 0 {
        out.push(b'0');
    } else {
        write!(out, "{}", group(weight)?).map_err(|_| written)?;
        for place in (0..weight).rev() {
            write!(out, "{:04}", group(place)?).map_err(|_| written)?;
        }
    }
    if scale > 0 {
        out.push(b'.');
        let end = out.len() + scale;
        let mut place = -1;
        while out.len() < end {
            write!(out, "{:04}", group(place)?).map_err(|_| written)?;
            place -= 1;
        }
        out.truncate(end);
    }
    Ok(())
}

/// Appends the wire form of a decimal text: sign, digits, point, exponent, or `NaN`, `Infinity`, `-Infinity` in any case.
pub(super) fn write(text: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
    const NOT_DECIMAL: &str = "it is not a decimal number";
    let text = text.trim_ascii();
    let special = match text.to_ascii_lowercase().as_str() {
        "nan" => Some(NAN),
        "infinity" | "+infinity" | "inf" | "+inf" => Some(INFINITY),
        "-infinity" | "-inf" => Some(NEGATIVE_INFINITY),
        _ => None,
    };
    if let Some(sign) = special {
        put(out, 0, 0, sign, 0);
        return Ok(());
    }
    let (sign, text) = match text.as_bytes().first() {
        Some(b'-') => (NEGATIVE, &text[1..]),
        Some(b'+') => (POSITIVE, &text[1..]),
        _ => (POSITIVE, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| NOT_DECIMAL)?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
        return Err(NOT_DECIMAL);
    }
    let length = |part: &str| i64::try_from(part.len()).unwrap_or(i64::MAX);
    let exponent = i64::from(exponent);
    let scale = (length(fraction) - exponent).max(0);
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
    let leading = digits.iter().take_while(|digit| **digit == 0).count();
    let digits = &digits[leading..];
    // Where the point stands, counted from the first digit that is not zero.
    let point = length(whole) + exponent - i64::try_from(leading).unwrap_or(i64::MAX);
    if scale > MAX_SCALE || (!digits.is_empty() && point > MAX_BEFORE_POINT) {
        return Err("it has more digits than a numeric can have");
    }
    let scale = u16::try_from(scale).map_err(|_| NOT_DECIMAL)?;
    if digits.is_empty() {
        put(out, 0, 0, POSITIVE, scale);
        return Ok(());
    }
    let weight = (point - 1).div_euclid(4);
    let pad = usize::try_from((weight + 1) * 4 - point).map_err(|_| NOT_DECIMAL)?;
    let padded: Vec<u8> = std::iter::repeat_n(0, pad).chain(digits.iter().copied()).collect();
    let mut groups: Vec<u16> = padded
        .chunks(4)
        .map(|chunk| (0..4).fold(0, |group, index| group * 10 + u16::from(chunk.get(index).copied().unwrap_or(0))))
        .collect();
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let count = u16::try_from(groups.len()).map_err(|_| NOT_DECIMAL)?;
    put(out, count, i16::try_from(weight).map_err(|_| NOT_DECIMAL)?, sign, scale);
    for group in groups {
        out.extend(group.to_be_bytes());
    }
    Ok(())
}

fn put(out: &mut Vec<u8>, count: u16, weight: i16, sign: u16, scale: u16) {
    for field in [count, weight.cast_unsigned(), sign, scale] {
        out.extend(field.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(text: &str) -> String {
        let mut wire = Vec::new();
        write(text, &mut wire).unwrap();
        let mut back = Vec::new();
        read(&wire, &mut back).unwrap();
        String::from_utf8(back).unwrap()
    }

    #[test]
    fn decimal_text_survives() {
        for text in ["0", "1", "-1", "10000", "9999.9999", "0.0001", "0.00010", "123456789012345678901234567890.123", "NaN"] {
            assert_eq!(round_trip(text), text);
        }
        for (text, same) in [
            ("1.5e3", "1500"),
            ("1e-3", "0.001"),
            ("-0", "0"),
            ("0.00", "0.00"),
            ("+00012.50", "12.50"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e10", "10000000000"),
            ("-inf", "-Infinity"),
            ("0.000000012345", "0.000000012345"),
        ] {
            assert_eq!(round_trip(text), same);
        }
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for text in ["", "-", "1.2.3", "1e", "0x10", "1_000", "1e999999", "1e-20000", "٣"] {
            assert!(write(text, &mut Vec::new()).is_err(), "{text}");
        }
        assert!(read(&[0, 1, 0, 0, 0, 0, 0, 0], &mut Vec::new()).is_err());
    }
}
