//! A guest's values into parameters of the binary protocol; what the server would bend or cut is refused.
//!
//! The server does not say which type it expects of a parameter, so each value is sent as what it is, and the server converts. sqlx has
//! no public name for some types of the protocol; those were taken from the columns of a query at connect.

use sqlx::{
    Arguments, Encode, MySql, Type,
    encode::IsNull,
    error::BoxDynError,
    mysql::{MySqlArguments, MySqlTypeInfo, types::MySqlTime},
};

use super::calendar::{self, MAX_TIME, MICROS_PER_DAY};
use crate::driver::{
    Failure, FailureKind,
    types::{Interval, OtherValue, Uuid, Value},
};

/// The most digits that a DECIMAL has.
const MAX_DIGITS: usize = 65;
/// The most of them behind the point; MariaDB takes 38.
const MAX_SCALE: usize = 30;

/// Types of the protocol that sqlx does not name.
#[derive(Clone, Debug)]
pub(super) struct ParameterTypes {
    pub(super) date: MySqlTypeInfo,
    pub(super) datetime: MySqlTypeInfo,
    pub(super) decimal: MySqlTypeInfo,
}

/// Binds the values.
///
/// # Errors
/// [`FailureKind::Invalid`] for a wrong count, [`FailureKind::Conversion`] for a value that has no form here.
pub(super) fn arguments(values: &[Value], expected: usize, types: &ParameterTypes) -> Result<MySqlArguments, Failure> {
    if values.len() != expected {
        let message = format!("the statement has {expected} parameters, but {} values were given", values.len());
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    let mut arguments = MySqlArguments::default();
    arguments.reserve(values.len(), values.len() * 16);
    for (index, value) in values.iter().enumerate() {
        let bound =
            bind(value, types).and_then(|(info, bytes)| arguments.add(Bound { info, bytes }).map_err(|_| "it cannot be encoded"));
        bound.map_err(|misfit| {
            Failure::new(FailureKind::Conversion, format!("parameter {} cannot be sent: {misfit}", index + 1))
                .with("parameter", index + 1)
        })?;
    }
    Ok(arguments)
}

/// A parameter in its wire form; no bytes for null.
struct Bound {
    info: MySqlTypeInfo,
    bytes: Option<Vec<u8>>,
}

impl Type<MySql> for Bound {
    fn type_info() -> MySqlTypeInfo {
        // Never asked for: every parameter knows what it produces.
        <str as Type<MySql>>::type_info()
    }
}

impl Encode<'_, MySql> for Bound {
    fn encode_by_ref(&self, buffer: &mut Vec<u8>) -> Result<IsNull, BoxDynError> {
        let Some(bytes) = &self.bytes else { return Ok(IsNull::Yes) };
        buffer.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<MySqlTypeInfo> {
        Some(self.info.clone())
    }
}

type Wire = (MySqlTypeInfo, Option<Vec<u8>>);

fn of<T: Type<MySql> + ?Sized>(bytes: Vec<u8>) -> Result<Wire, &'static str> {
    Ok((T::type_info(), Some(bytes)))
}

fn lengthened(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(bytes.len() + 9);
    // sqlx writes the length.
    let _never_null = <&[u8] as Encode<MySql>>::encode(bytes, &mut out).map_err(|_| "it cannot be encoded")?;
    Ok(out)
}

fn text(text: &str) -> Result<Wire, &'static str> {
    of::<str>(lengthened(text.as_bytes())?)
}

fn bind(value: &Value, types: &ParameterTypes) -> Result<Wire, &'static str> {
    const RANGE: &str = "it is out of the server's range";
    match value {
        Value::Null => Ok((<str as Type<MySql>>::type_info(), None)),
        Value::Boolean(value) => of::<i8>(vec![u8::from(*value)]),
        Value::Signed(number) => of::<i64>(number.to_le_bytes().to_vec()),
        Value::Unsigned(number) => of::<u64>(number.to_le_bytes().to_vec()),
        Value::Float32(number) if !number.is_finite() => Err("the server has no infinity and no NaN"),
        Value::Float64(number) if !number.is_finite() => Err("the server has no infinity and no NaN"),
        Value::Float32(number) => of::<f32>(number.to_le_bytes().to_vec()),
        Value::Float64(number) => of::<f64>(number.to_le_bytes().to_vec()),
        Value::Decimal(digits) => Ok((types.decimal.clone(), Some(lengthened(decimal(digits)?.as_bytes())?))),
        Value::Text(value) | Value::Json(value) | Value::Network(value) | Value::Other(OtherValue { text: value, .. }) => {
            text(value)
        }
        Value::Bytes(bytes) => of::<[u8]>(lengthened(bytes)?),
        Value::Date(days) => Ok((types.date.clone(), Some(date((*days).into()).ok_or(RANGE)?))),
        Value::Time(micros) => time(i64::try_from(*micros).map_err(|_| RANGE)?),
        Value::Timestamp(micros) | Value::TimestampTz(micros) => {
            Ok((types.datetime.clone(), Some(datetime(*micros).ok_or(RANGE)?)))
        }
        Value::Interval(Interval { months: 0, days, microseconds }) => {
            let days = i64::from(*days).checked_mul(MICROS_PER_DAY).ok_or(RANGE)?;
            time(days.checked_add(*microseconds).ok_or(RANGE)?)
        }
        Value::Interval(_) => Err("a TIME has no months"),
        Value::Uuid(uuid) => text(&uuid_text(*uuid)),
        Value::Array(_) => Err("the server has no arrays"),
    }
}

fn date(days: i64) -> Option<Vec<u8>> {
    let (year, month, day) = calendar::date(days)?;
    let [low, high] = year.to_le_bytes();
    Some(vec![4, low, high, month, day])
}

fn datetime(micros: i64) -> Option<Vec<u8>> {
    let mut out = date(micros.div_euclid(MICROS_PER_DAY))?;
    let (hour, minute, second, fraction) = calendar::clock(micros.rem_euclid(MICROS_PER_DAY))?;
    out[0] = 11;
    out.extend([hour, minute, second]);
    out.extend(fraction.to_le_bytes());
    Some(out)
}

fn time(micros: i64) -> Result<Wire, &'static str> {
    if !(-MAX_TIME..=MAX_TIME).contains(&micros) {
        return Err("it is longer than a TIME can be, which is 838:59:59.999999");
    }
    let (days, rest) = (micros.abs() / MICROS_PER_DAY, micros.abs() % MICROS_PER_DAY);
    let (hour, minute, second, fraction) = calendar::clock(rest).ok_or("it is out of the server's range")?;
    let mut out = vec![12, u8::from(micros < 0)];
    out.extend(u32::try_from(days).unwrap_or_default().to_le_bytes());
    out.extend([hour, minute, second]);
    out.extend(fraction.to_le_bytes());
    of::<MySqlTime>(out)
}

/// Digits with sign and point and no exponent, short enough for the server, which would take another number without a word.
fn decimal(text: &str) -> Result<String, &'static str> {
    const SHAPE: &str = "it is no decimal number that the server has";
    let (sign, rest) = match text.as_bytes().first() {
        Some(b'-') => ("-", &text[1..]),
        Some(b'+') => ("", &text[1..]),
        _ => ("", text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| SHAPE)?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SHAPE);
    }
    let most = i32::try_from(MAX_DIGITS).map_err(|_| SHAPE)?;
    let zero = digits.bytes().all(|byte| byte == b'0');
    let point = i32::try_from(whole.len()).ok().and_then(|len| len.checked_add(if zero { 0 } else { exponent })).ok_or(SHAPE)?;
    if !(-most..=most * 2).contains(&point) || digits.len() > 2 * MAX_DIGITS {
        return Err("it has more digits than a DECIMAL");
    }
    let (whole, fraction) = match usize::try_from(point) {
        Ok(point) if point >= digits.len() => (format!("{digits:0<point$}"), String::new()),
        Ok(point) => (digits[..point].to_owned(), digits[point..].to_owned()),
        Err(_) => (String::new(), format!("{}{digits}", "0".repeat(usize::try_from(-point).map_err(|_| SHAPE)?))),
    };
    let whole = whole.trim_start_matches('0');
    let trimmed = fraction.trim_end_matches('0');
    // Zeros at the end are kept where there is room: they are part of how the number was written.
    let fraction = if fraction.len() <= MAX_SCALE && whole.len() + fraction.len() <= MAX_DIGITS { &fraction } else { trimmed };
    if fraction.len() > MAX_SCALE || whole.len() + fraction.len() > MAX_DIGITS {
        return Err("it has more digits than a DECIMAL");
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Ok(format!("{sign}{whole}{point}{fraction}"))
}

fn uuid_text(uuid: Uuid) -> String {
    let Uuid { high, low } = uuid;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xFFFF,
        high & 0xFFFF,
        low >> 48,
        low & 0xFFFF_FFFF_FFFF
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_every_digit_or_are_refused() {
        for (text, expected) in [
            ("1.50", "1.50"),
            ("-0.1", "-0.1"),
            ("+12", "12"),
            ("1e3", "1000"),
            ("12.5E-3", "0.0125"),
            ("007", "7"),
            (".5", "0.5"),
            ("0e99999", "0"),
        ] {
            assert_eq!(decimal(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(decimal(&"9".repeat(65)), Ok("9".repeat(65)));
        let long = "9".repeat(66);
        for text in ["", "-", "NaN", "Infinity", "1.2.3", "1e", "0x10", " 1", "1e70", "1e-31", "1e2147483647", long.as_str()] {
            assert!(decimal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_bounded_and_signed() {
        assert_eq!(time(-1).map(|(_, bytes)| bytes), Ok(Some(vec![12, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0])));
        assert!(time(MAX_TIME).is_ok() && time(MAX_TIME + 1).is_err() && time(-MAX_TIME - 1).is_err());
        assert_eq!(datetime(-1), Some(vec![11, 0xb1, 0x07, 12, 31, 23, 59, 59, 0x3f, 0x42, 0x0f, 0]));
        assert_eq!(datetime(i64::MAX), None);
    }
}
