//! Parameters: whether a statement's placeholders are what sqlx binds rightly, and values in SQLite's storage classes.

use sqlx::{Arguments, sqlite::SqliteArguments};

use super::temporal;
use crate::driver::{
    Failure, FailureKind, Value,
    types::{ArrayValue, OtherValue, Uuid},
};

/// How many parameters a statement takes.
///
/// sqlx binds `?` by order and `?1` and `$1` by number, takes what is missing as null and panics at `$0`. So a statement uses either
/// only `?`, or only numbers, each from 1 to the highest.
pub(super) fn count(placeholders: &[Option<String>]) -> Result<usize, Failure> {
    let invalid = |what: String| Err(Failure::new(FailureKind::Invalid, what));
    if placeholders.iter().all(Option::is_none) {
        return Ok(placeholders.len());
    }
    let mut numbers = Vec::with_capacity(placeholders.len());
    for name in placeholders {
        // SQLite gives a plain `?` and the gap below `?5` the same absent name.
        let Some(name) = name else {
            return invalid("placeholders are numbered from 1 without a gap, or none is numbered".into());
        };
        let digits = name.strip_prefix(['?', '$']).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        match digits.and_then(|digits| digits.parse::<usize>().ok()) {
            Some(number) if number > 0 => numbers.push(number),
            _ => return invalid(format!("the placeholder {name} is neither ? nor a number from ?1 or $1 on")),
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    match numbers.last() {
        Some(&highest) if highest == numbers.len() => Ok(highest),
        _ => invalid("placeholders are numbered from 1 without a gap, or none is numbered".into()),
    }
}

/// The values of one run, as SQLite stores them.
///
/// # Errors
/// [`FailureKind::Invalid`] when there are not exactly `expected`, [`FailureKind::Conversion`] naming the parameter when SQLite has no
/// place for a value.
pub(super) fn encode(values: Vec<Value>, expected: usize) -> Result<SqliteArguments, Failure> {
    if values.len() != expected {
        let told = format!("the statement takes {expected} parameters, {} were given", values.len());
        return Err(Failure::new(FailureKind::Invalid, told));
    }
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.len(), 0);
    for (index, value) in values.into_iter().enumerate() {
        add(&mut arguments, value).map_err(|(type_name, why)| {
            Failure::new(FailureKind::Conversion, format!("parameter {}: {why}", index + 1))
                .with("parameter", index + 1)
                .with("type", type_name)
        })?;
    }
    Ok(arguments)
}

fn add(arguments: &mut SqliteArguments, value: Value) -> Result<(), (&'static str, &'static str)> {
    const YEARS: &str = "only the years 0 to 9999 can be stored";
    let text = |arguments: &mut SqliteArguments, text: String| arguments.add(text);
    let added = match value {
        Value::Null => arguments.add(None::<i64>),
        Value::Boolean(value) => arguments.add(i64::from(value)),
        Value::Signed(value) => arguments.add(value),
        Value::Unsigned(value) => {
            arguments.add(i64::try_from(value).map_err(|_| ("unsigned", "larger than any SQLite integer"))?)
        }
        // SQLite would store a NaN as null.
        Value::Float32(value) if value.is_nan() => return Err(("float32", "SQLite has no NaN")),
        Value::Float64(value) if value.is_nan() => return Err(("float64", "SQLite has no NaN")),
        Value::Float32(value) => arguments.add(f64::from(value)),
        Value::Float64(value) => arguments.add(value),
        Value::Bytes(value) => arguments.add(value),
        Value::Decimal(value) | Value::Text(value) | Value::Json(value) | Value::Network(value) => text(arguments, value),
        Value::Date(days) => text(arguments, temporal::format_date(days).ok_or(("date", YEARS))?),
        Value::Time(micros) => text(arguments, temporal::format_time(micros).ok_or(("time", "later than 24:00"))?),
        Value::Timestamp(micros) => text(arguments, temporal::format_timestamp(micros).ok_or(("timestamp", YEARS))?),
        Value::TimestampTz(micros) => {
            text(arguments, temporal::format_timestamp(micros).ok_or(("timestamp-tz", YEARS))? + "+00:00")
        }
        Value::Uuid(uuid) => text(arguments, hyphenated(uuid)),
        Value::Interval(_) => return Err(("interval", "SQLite has no intervals")),
        Value::Array(ArrayValue { .. }) => return Err(("array", "SQLite has no arrays")),
        Value::Other(OtherValue { .. }) => return Err(("other", "SQLite has no such type")),
    };
    // sqlx's encoders of these types do not fail.
    added.map_err(|_| ("parameter", "cannot be encoded"))
}

fn hyphenated(Uuid { high, low }: Uuid) -> String {
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_counted_or_refused() {
        let named = |names: &[&str]| -> Vec<Option<String>> {
            names.iter().map(|name| (!name.is_empty()).then(|| (*name).to_owned())).collect()
        };
        for (names, expected) in
            [(&[][..], 0), (&["", ""][..], 2), (&["?1", "?2"][..], 2), (&["$2", "$1", "$3"][..], 3), (&["$1", "?1", "?2"][..], 2)]
        {
            assert_eq!(count(&named(names)).ok(), Some(expected), "{names:?}");
        }
        for names in
            [&["$0"][..], &["?1", ""], &["", "", "?3"], &["$1", "$3"], &[":name"], &["@name"], &["$1x"], &["$name"], &["$1::a"]]
        {
            assert_eq!(count(&named(names)).unwrap_err().kind, FailureKind::Invalid, "{names:?}");
        }
    }

    #[test]
    fn uuids_are_hyphenated() {
        let uuid = Uuid { high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff };
        assert_eq!(hyphenated(uuid), "00112233-4455-6677-8899-aabbccddeeff");
    }
}
