//! A guest's values into wire values of the type that the server expects; what would lose anything is refused.

use sqlx::{
    Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgTypeInfo},
};

use super::{
    calendar::{self, MICROS_PER_DAY},
    decode::{DAYS_TO_2000, MICROS_TO_2000},
    network, numeric,
    types::{Form, ServerType, Shape},
};
use crate::driver::{
    columns::is_null,
    types::{ArrayValue, Interval, OtherValue, Uuid, Value},
};

/// Why a value does not fit; completes "parameter 1 does not fit int4: …".
pub(super) type Misfit = String;

/// One parameter, with the type that the server described for it.
#[derive(Clone, Copy)]
pub(super) struct Argument<'a> {
    pub(super) value: &'a Value,
    pub(super) server_type: &'a ServerType,
    pub(super) info: &'a PgTypeInfo,
}

impl Type<Postgres> for Argument<'_> {
    fn type_info() -> PgTypeInfo {
        // Never asked for: every argument knows what it produces.
        <str as Type<Postgres>>::type_info()
    }
}

impl<'q> Encode<'q, Postgres> for Argument<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(if encode(self.value, self.server_type, buffer)? { IsNull::No } else { IsNull::Yes })
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.info.clone())
    }
}

/// Appends the wire form; `false` for null, which appends nothing.
pub(super) fn encode(value: &Value, server_type: &ServerType, out: &mut Vec<u8>) -> Result<bool, Misfit> {
    if matches!(value, Value::Null) {
        return Ok(false);
    }
    match (server_type.shape, value) {
        (Shape::Array { element_oid, form }, Value::Array(array)) => put_array(array, element_oid, form, out)?,
        (Shape::Array { .. }, other) => return Err(format!("{} is no array", kind(other))),
        (Shape::Scalar(form), value) => put(value, form, out)?,
        (Shape::Unsupported, _) => {
            return Err("values of this type have no form here; write `$1::text::…` in SQL and pass text".into());
        }
    }
    Ok(true)
}

fn put_array(array: &ArrayValue, element_oid: u32, form: Form, out: &mut Vec<u8>) -> Result<(), Misfit> {
    let count = i32::try_from(array.elements.len()).map_err(|_| "the array is too long")?;
    let has_nulls = (0..array.elements.len()).any(|index| is_null(&array.nulls, index));
    out.extend(i32::from(count > 0).to_be_bytes());
    out.extend(i32::from(has_nulls).to_be_bytes());
    out.extend(element_oid.to_be_bytes());
    if count > 0 {
        out.extend(count.to_be_bytes());
        out.extend(1_i32.to_be_bytes());
    }
    for index in 0..array.elements.len() {
        if is_null(&array.nulls, index) {
            out.extend((-1_i32).to_be_bytes());
            continue;
        }
        let at = out.len();
        out.extend([0; 4]);
        put(&array.elements.value(index), form, out).map_err(|misfit| format!("element {}: {misfit}", index + 1))?;
        let length = i32::try_from(out.len() - at - 4).map_err(|_| "an element is too long")?;
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// What a value is called in messages.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Boolean(_) => "a boolean",
        Value::Signed(_) | Value::Unsigned(_) => "an integer",
        Value::Float32(_) | Value::Float64(_) => "a float",
        Value::Decimal(_) => "a decimal",
        Value::Text(_) => "text",
        Value::Bytes(_) => "bytes",
        Value::Date(_) => "a date",
        Value::Time(_) => "a time",
        Value::Timestamp(_) => "a timestamp without zone",
        Value::TimestampTz(_) => "a timestamp with zone",
        Value::Interval(_) => "an interval",
        Value::Uuid(_) => "a uuid",
        Value::Json(_) => "json",
        Value::Network(_) => "a network address",
        Value::Array(_) => "an array",
        Value::Other(_) => "a value of another type",
    }
}

/// The text of a value that is written as text.
fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) | Value::Other(OtherValue { text, .. }) => Some(text),
        _ => None,
    }
}

/// An integer, also one that is written as text.
fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Signed(number) => Some((*number).into()),
        Value::Unsigned(number) => Some((*number).into()),
        Value::Text(text) => text.trim_ascii().parse().ok(),
        Value::Decimal(text) => text.parse().ok(),
        _ => None,
    }
}

fn put(value: &Value, form: Form, out: &mut Vec<u8>) -> Result<(), Misfit> {
    let unfit = || format!("{} cannot be converted without loss", kind(value));
    let range = |number: i128| format!("{number} is out of range");
    match form {
        Form::Int2 | Form::Int4 | Form::Int8 | Form::Oid => {
            let number = integer(value).ok_or_else(unfit)?;
            match form {
                Form::Int2 => out.extend(i16::try_from(number).map_err(|_| range(number))?.to_be_bytes()),
                Form::Int4 => out.extend(i32::try_from(number).map_err(|_| range(number))?.to_be_bytes()),
                Form::Oid => out.extend(u32::try_from(number).map_err(|_| range(number))?.to_be_bytes()),
                _ => out.extend(i64::try_from(number).map_err(|_| range(number))?.to_be_bytes()),
            }
        }
        Form::Boolean => match value {
            Value::Boolean(truth) => out.push(u8::from(*truth)),
            Value::Text(text) => match text.trim_ascii().to_ascii_lowercase().as_str() {
                "true" | "t" | "yes" | "y" | "on" | "1" => out.push(1),
                "false" | "f" | "no" | "n" | "off" | "0" => out.push(0),
                _ => return Err("the text is neither true nor false".into()),
            },
            _ => return Err(unfit()),
        },
        Form::Float4 | Form::Float8 => put_float(value, form, out)?,
        Form::Numeric => match value {
            Value::Decimal(text) | Value::Text(text) => numeric::write(text, out)?,
            Value::Signed(number) => numeric::write(&number.to_string(), out)?,
            Value::Unsigned(number) => numeric::write(&number.to_string(), out)?,
            // The shortest digits that give the same float back.
            Value::Float64(number) => numeric::write(&format!("{number:e}"), out)?,
            Value::Float32(number) => numeric::write(&format!("{number:e}"), out)?,
            _ => return Err(unfit()),
        },
        Form::Text | Form::Xml => match value {
            Value::Text(text) | Value::Json(text) | Value::Decimal(text) | Value::Network(text) => out.extend(text.bytes()),
            Value::Other(other) => out.extend(other.text.bytes()),
            Value::Uuid(uuid) => out.extend(uuid_text(*uuid).bytes()),
            _ => return Err(format!("{} is not text; cast the placeholder, as in `$1::int8`", kind(value))),
        },
        Form::Bytes => match value {
            Value::Bytes(bytes) => out.extend(bytes),
            _ => return Err(unfit()),
        },
        Form::Date | Form::Time | Form::Timestamp | Form::TimestampTz => put_time(value, form, out)?,
        Form::Interval => {
            let Interval { months, days, microseconds } = match value {
                Value::Interval(interval) => *interval,
                Value::Text(text) => {
                    calendar::parse_interval(text).ok_or("the text is not an interval such as `1 day 02:00:00`")?
                }
                _ => return Err(unfit()),
            };
            out.extend(microseconds.to_be_bytes());
            out.extend(days.to_be_bytes());
            out.extend(months.to_be_bytes());
        }
        Form::Uuid => {
            let number = match value {
                Value::Uuid(uuid) => (u128::from(uuid.high) << 64) | u128::from(uuid.low),
                Value::Text(text) => parse_uuid(text).ok_or("the text is not a uuid")?,
                _ => return Err(unfit()),
            };
            out.extend(number.to_be_bytes());
        }
        Form::Json | Form::Jsonb => match value {
            Value::Json(text) | Value::Text(text) => {
                out.extend((form == Form::Jsonb).then_some(1));
                out.extend(text.bytes());
            }
            _ => return Err(unfit()),
        },
        Form::Inet | Form::Cidr | Form::MacAddr | Form::MacAddr8 => match (value, form) {
            (Value::Network(text) | Value::Text(text), Form::MacAddr | Form::MacAddr8) => {
                network::write_mac(text, form == Form::MacAddr8, out)?;
            }
            (Value::Network(text) | Value::Text(text), _) => network::write_inet(text, form == Form::Cidr, out)?,
            _ => return Err(unfit()),
        },
        Form::VersionedText => {
            out.push(1);
            out.extend(text(value).ok_or_else(unfit)?.bytes());
        }
        Form::TimeTz => {
            let (micros, west) = text(value).and_then(calendar::parse_time_tz).ok_or("it is not a time with an offset")?;
            out.extend(micros.to_be_bytes());
            out.extend(west.to_be_bytes());
        }
        Form::Bits => put_bits(text(value).ok_or_else(unfit)?, out)?,
        Form::Lsn => {
            let (high, low) = text(value).and_then(|text| text.split_once('/')).ok_or("it is not a log position")?;
            let half = |digits: &str| u32::from_str_radix(digits, 16).map_err(|_| "it is not a log position");
            out.extend(half(high)?.to_be_bytes());
            out.extend(half(low)?.to_be_bytes());
        }
        Form::Xid => {
            let number = text(value).and_then(|text| text.parse::<u32>().ok()).ok_or_else(unfit)?;
            out.extend(number.to_be_bytes());
        }
        Form::Xid8 => {
            let number = text(value).and_then(|text| text.parse::<u64>().ok()).ok_or_else(unfit)?;
            out.extend(number.to_be_bytes());
        }
        Form::Void => return Err(unfit()),
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "each cast is checked by casting back")]
fn put_float(value: &Value, form: Form, out: &mut Vec<u8>) -> Result<(), Misfit> {
    let lossy = || format!("{} cannot be converted without loss", kind(value));
    let number = match value {
        Value::Float64(number) => *number,
        Value::Float32(number) => f64::from(*number),
        Value::Text(text) => match text.trim_ascii().parse::<f64>() {
            Ok(number) if form == Form::Float8 => number,
            // Rounded once, from the text.
            Ok(_) => return text.trim_ascii().parse::<f32>().map(|number| out.extend(number.to_be_bytes())).map_err(|_| lossy()),
            Err(_) => return Err("the text is not a number".into()),
        },
        Value::Signed(_) | Value::Unsigned(_) => {
            let exact = integer(value).ok_or_else(lossy)?;
            let number = exact as f64;
            if number as i128 != exact {
                return Err(lossy());
            }
            number
        }
        _ => return Err(lossy()),
    };
    if form == Form::Float8 {
        out.extend(number.to_be_bytes());
        return Ok(());
    }
    let short = number as f32;
    if f64::from(short) != number && !number.is_nan() {
        return Err(lossy());
    }
    out.extend(short.to_be_bytes());
    Ok(())
}

fn put_time(value: &Value, form: Form, out: &mut Vec<u8>) -> Result<(), Misfit> {
    let unfit = || format!("{} cannot be converted without loss", kind(value));
    let written = match value {
        Value::Text(text) => Some(text.trim_ascii()),
        _ => None,
    };
    let infinity = match written.map(str::to_ascii_lowercase).as_deref() {
        Some("infinity") => Some(true),
        Some("-infinity") => Some(false),
        _ => None,
    };
    match (form, value) {
        (Form::Date, _) => {
            let days = match (infinity, written, value) {
                (Some(positive), ..) => i64::from(if positive { i32::MAX } else { i32::MIN }),
                (_, Some(text), _) => calendar::parse_date(text).ok_or("the text is not a date such as `2024-12-31`")?,
                (.., Value::Date(days)) => (*days).into(),
                (.., Value::Timestamp(micros)) if micros.rem_euclid(MICROS_PER_DAY) == 0 => micros.div_euclid(MICROS_PER_DAY),
                _ => return Err(unfit()),
            };
            let days = i32::try_from(days).map_err(|_| "the date is out of range")?;
            let days = match days {
                infinity @ (i32::MIN | i32::MAX) => infinity,
                days => days.checked_sub(DAYS_TO_2000).filter(|days| *days != i32::MIN).ok_or("the date is out of range")?,
            };
            out.extend(days.to_be_bytes());
        }
        (Form::Time, _) => {
            let micros = match (written, value) {
                (Some(text), _) => calendar::parse_time(text).ok_or("the text is not a time such as `23:59:59`")?,
                (_, Value::Time(micros)) => i64::try_from(*micros).map_err(|_| unfit())?,
                _ => return Err(unfit()),
            };
            if !(0..=MICROS_PER_DAY).contains(&micros) {
                return Err("the time is longer than a day".into());
            }
            out.extend(micros.to_be_bytes());
        }
        _ => {
            let micros = match (infinity, written, value, form) {
                (Some(positive), ..) => {
                    if positive {
                        i64::MAX
                    } else {
                        i64::MIN
                    }
                }
                (_, Some(text), _, Form::Timestamp) => {
                    calendar::parse_timestamp(text).ok_or("the text is not a timestamp without offset")?
                }
                (_, Some(text), ..) => calendar::parse_timestamp_tz(text).ok_or("the text is not a timestamp with an offset")?,
                (.., Value::Timestamp(micros), Form::Timestamp) | (.., Value::TimestampTz(micros), Form::TimestampTz) => *micros,
                (.., Value::Date(i32::MAX), Form::Timestamp) => i64::MAX,
                (.., Value::Date(i32::MIN), Form::Timestamp) => i64::MIN,
                (.., Value::Date(days), Form::Timestamp) => i64::from(*days).checked_mul(MICROS_PER_DAY).ok_or_else(unfit)?,
                _ => return Err(unfit()),
            };
            let micros = match micros {
                infinity @ (i64::MIN | i64::MAX) => infinity,
                micros => micros.checked_sub(MICROS_TO_2000).filter(|micros| *micros != i64::MIN).ok_or("it is out of range")?,
            };
            out.extend(micros.to_be_bytes());
        }
    }
    Ok(())
}

fn put_bits(text: &str, out: &mut Vec<u8>) -> Result<(), Misfit> {
    let count = i32::try_from(text.len()).map_err(|_| "too many bits")?;
    out.extend(count.to_be_bytes());
    for chunk in text.as_bytes().chunks(8) {
        let mut byte = 0;
        for (index, digit) in chunk.iter().enumerate() {
            match digit {
                b'0' => {}
                b'1' => byte |= 0x80_u8 >> index,
                _ => return Err("bits are written as 0 and 1".into()),
            }
        }
        out.push(byte);
    }
    Ok(())
}

fn parse_uuid(text: &str) -> Option<u128> {
    let text = text.trim_ascii();
    let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let digits = text.replace('-', "");
    (digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| u128::from_str_radix(&digits, 16).ok())?
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
