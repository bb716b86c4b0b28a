//! Values of the binary protocol into columns: each is read once and appended where it crosses to the guest.

use std::str::from_utf8;

use sqlx::{
    Decode, MySql, Row,
    mysql::{MySqlColumn, MySqlRow},
};

use super::{
    calendar::{self, MICROS_PER_SECOND},
    types::{Columns, Form},
};
use crate::driver::{
    Batch, Failure, FailureKind,
    columns::{self, CellsBuilder},
    types::{Cells, Column, Interval, Packed},
};

const LENGTH: &str = "it has a wrong length";
const ZERO: &str = "it is a zero date, which is none; select NULLIF(…, 0) or a text of it";

/// Columns that are being filled row by row.
pub(super) struct Filling {
    columns: Columns,
    builders: Vec<CellsBuilder>,
    rows: usize,
}

impl Filling {
    /// Starts with the columns that the server described when it parsed the statement.
    pub(super) fn new(columns: Columns) -> Self {
        let builders = columns.forms.iter().map(|form| form.column()).collect();
        Self { columns, builders, rows: 0 }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that the columns take so far.
    pub(super) fn bytes(&self) -> usize {
        self.builders.iter().map(|builder| builder.cells.bytes()).sum()
    }

    /// Appends one row. After an error the columns are of no further use.
    pub(super) fn push(&mut self, row: &MySqlRow) -> Result<(), Failure> {
        if self.rows == 0 && self.columns != *row.columns() {
            // Only now that it has values for the parameters does the server know the types for certain.
            *self = Self::new(Columns::new(row.columns()));
        }
        for (index, (builder, form)) in self.builders.iter_mut().zip(&self.columns.forms).enumerate() {
            let value = row.try_get_raw(index).map_err(|_| Failure::new(FailureKind::Database, "a row is short").lost())?;
            // Only a null is an error here; `is_null` would say it of zero dates too.
            let pushed = match <&[u8] as Decode<MySql>>::decode(value) {
                Ok(bytes) => push(builder, *form, bytes),
                Err(_) => {
                    builder.push_null();
                    Ok(())
                }
            };
            pushed.map_err(|misfit| {
                let info = &self.columns.infos[index];
                let message =
                    format!("column `{}`, row {}: the {} cannot be read: {misfit}", info.name, self.rows + 1, info.type_name);
                Failure::new(FailureKind::Conversion, message).with("column", &info.name).with("type", &info.type_name)
            })?;
        }
        self.rows += 1;
        Ok(())
    }

    /// Whether a row belongs to the same result as the rows so far.
    pub(super) fn fits(&self, columns: &[MySqlColumn]) -> bool {
        self.rows == 0 || self.columns == *columns
    }

    /// What the columns are called, as far as is known by now, and the batch.
    pub(super) fn finish(self) -> (Columns, Batch) {
        let forms = &self.columns.forms;
        let finished = self.builders.into_iter().zip(forms).map(|(builder, form)| finish(builder, *form)).collect();
        let batch = columns::batch(self.rows, finished);
        (self.columns, batch)
    }
}

/// A column of `TINYINT(1)` is one of booleans unless it holds other numbers.
fn finish(mut builder: CellsBuilder, form: Form) -> Column {
    if form == Form::Boolean
        && let Cells::Signed(cells) = &builder.cells
        && cells.iter().all(|cell| matches!(cell, 0 | 1))
    {
        builder.cells = Cells::Boolean(cells.iter().map(|cell| *cell == 1).collect());
    }
    builder.finish()
}

/// An integer of one, two, four or eight bytes, the lowest first.
fn integer(bytes: &[u8], signed: bool) -> Result<i128, &'static str> {
    let mut wide = [0_u8; 16];
    wide.get_mut(..bytes.len()).filter(|_| matches!(bytes.len(), 1 | 2 | 4 | 8)).ok_or(LENGTH)?.copy_from_slice(bytes);
    if signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0) {
        wide[bytes.len()..].fill(0xFF);
    }
    Ok(i128::from_le_bytes(wide))
}

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], &'static str> {
    bytes.try_into().map_err(|_| LENGTH)
}

/// What stands behind the length byte that sqlx leaves in front of dates and times.
fn body(bytes: &[u8]) -> Result<&[u8], &'static str> {
    match bytes {
        [length, body @ ..] if usize::from(*length) == body.len() => Ok(body),
        _ => Err(LENGTH),
    }
}

fn days(bytes: &[u8]) -> Result<i64, &'static str> {
    let [low, high, month, day, ..] = bytes else { return Err(if bytes.is_empty() { ZERO } else { LENGTH }) };
    calendar::days(u16::from_le_bytes([*low, *high]).into(), (*month).into(), (*day).into()).ok_or(ZERO)
}

/// Hours, minutes and seconds, then microseconds where they are not zero.
fn clock(bytes: &[u8]) -> Result<i64, &'static str> {
    let [hour, minute, second, fraction @ ..] = bytes else { return Err(LENGTH) };
    let fraction = if fraction.is_empty() { 0 } else { u32::from_le_bytes(exactly(fraction)?) };
    let seconds = (i64::from(*hour) * 60 + i64::from(*minute)) * 60 + i64::from(*second);
    Ok(seconds * MICROS_PER_SECOND + i64::from(fraction))
}

fn datetime(bytes: &[u8]) -> Result<i64, &'static str> {
    let body = body(bytes)?;
    let midnight = days(body)? * calendar::MICROS_PER_DAY;
    Ok(midnight + if body.len() > 4 { clock(&body[4..])? } else { 0 })
}

fn time(bytes: &[u8]) -> Result<i64, &'static str> {
    let [negative, a, b, c, d, rest @ ..] = body(bytes)? else {
        return if bytes == [0] { Ok(0) } else { Err(LENGTH) };
    };
    let days = i64::from(u32::from_le_bytes([*a, *b, *c, *d]));
    let micros = days * calendar::MICROS_PER_DAY + clock(rest)?;
    Ok(if *negative == 0 { micros } else { -micros })
}

/// Text that is UTF-8 for certain: a guest may have changed what the server sends.
fn text(cells: &mut Packed, bytes: &[u8]) -> Result<(), &'static str> {
    from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    cells.push(bytes);
    Ok(())
}

fn push(builder: &mut CellsBuilder, form: Form, bytes: &[u8]) -> Result<(), &'static str> {
    match (&mut builder.cells, form) {
        (Cells::Signed(cells), _) => cells.push(i64::try_from(integer(bytes, true)?).map_err(|_| LENGTH)?),
        (Cells::Unsigned(cells), Form::Bits) if bytes.len() <= 8 => {
            cells.push(bytes.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)));
        }
        (Cells::Unsigned(cells), Form::Unsigned) => cells.push(u64::try_from(integer(bytes, false)?).map_err(|_| LENGTH)?),
        (Cells::Float32(cells), _) => cells.push(f32::from_le_bytes(exactly(bytes)?)),
        (Cells::Float64(cells), _) => cells.push(f64::from_le_bytes(exactly(bytes)?)),
        (Cells::Decimal(cells) | Cells::Text(cells) | Cells::Json(cells), _) => text(cells, bytes)?,
        (Cells::Bytes(cells), _) => cells.push(bytes),
        (Cells::Date(cells), _) => cells.push(i32::try_from(days(body(bytes)?)?).map_err(|_| LENGTH)?),
        (Cells::Timestamp(cells) | Cells::TimestampTz(cells), _) => cells.push(datetime(bytes)?),
        (Cells::Interval(cells), _) => cells.push(Interval { months: 0, days: 0, microseconds: time(bytes)? }),
        _ => return Err("it has no form here"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_lengths_are_errors_and_no_panics() {
        for form in [Form::Signed, Form::Unsigned, Form::Float, Form::Double, Form::Date, Form::Time, Form::Datetime] {
            assert!(push(&mut form.column(), form, &[3, 0, 0]).is_err(), "{form:?}");
            assert!(push(&mut form.column(), form, &[]).is_err(), "{form:?}");
        }
        assert!(push(&mut Form::Bits.column(), Form::Bits, &[0; 9]).is_err());
    }

    #[test]
    fn numbers_keep_sign_and_range() {
        assert_eq!(integer(&[0xFF], true), Ok(-1));
        assert_eq!(integer(&[0xFF], false), Ok(255));
        assert_eq!(integer(&u64::MAX.to_le_bytes(), false), Ok(u64::MAX.into()));
        assert_eq!(integer(&i64::MIN.to_le_bytes(), true), Ok(i64::MIN.into()));
    }

    #[test]
    fn zero_dates_are_errors_and_zero_times_are_not() {
        assert_eq!(datetime(&[0]), Err(ZERO));
        assert_eq!(datetime(&[4, 0xe8, 0x07, 0, 10]), Err(ZERO));
        assert_eq!(datetime(&[4, 0xb2, 0x07, 1, 1]), Ok(0));
        assert_eq!(time(&[0]), Ok(0));
        assert_eq!(time(&[8, 1, 1, 0, 0, 0, 2, 0, 0]), Ok(-26 * 3600 * MICROS_PER_SECOND));
    }
}
