//! Wire values into columns: each cell is read once and appended where it crosses to the guest.

use std::{io::Write, str::from_utf8};

use super::{
    calendar, network, numeric,
    types::{ColumnBuilder, Form},
};
use crate::driver::{
    columns::CellsBuilder,
    types::{Cells, Column, Interval, Packed, Uuid},
};

/// PostgreSQL counts from 2000-01-01.
pub(super) const DAYS_TO_2000: i32 = 10_957;
pub(super) const MICROS_TO_2000: i64 = 946_684_800_000_000;

const LENGTH: &str = "it has a wrong length";
const WRITTEN: &str = "writing to memory";

/// Reads big-endian fields off the front of a value.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(LENGTH)?;
        self.0 = rest;
        Ok(*field)
    }

    fn int(&mut self) -> Result<i32, &'static str> {
        self.take().map(i32::from_be_bytes)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (field, rest) = self.0.split_at_checked(count).ok_or(LENGTH)?;
        self.0 = rest;
        Ok(field)
    }
}

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], &'static str> {
    bytes.try_into().map_err(|_| LENGTH)
}

/// Moves the zero point; the ends of the range stand for infinity on both sides.
fn timestamp(bytes: &[u8]) -> Result<i64, &'static str> {
    match i64::from_be_bytes(exactly(bytes)?) {
        infinity @ (i64::MIN | i64::MAX) => Ok(infinity),
        micros => micros.checked_add(MICROS_TO_2000).filter(|micros| *micros != i64::MAX).ok_or("it is too far in the future"),
    }
}

fn date(bytes: &[u8]) -> Result<i32, &'static str> {
    match i32::from_be_bytes(exactly(bytes)?) {
        infinity @ (i32::MIN | i32::MAX) => Ok(infinity),
        days => days.checked_add(DAYS_TO_2000).filter(|days| *days != i32::MAX).ok_or("it is too far in the future"),
    }
}

/// Text that is UTF-8 for certain: a guest may have changed the session's encoding.
fn text(cells: &mut Packed, bytes: &[u8]) -> Result<(), &'static str> {
    from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    cells.push(bytes);
    Ok(())
}

fn with(cells: &mut Packed, write: impl FnOnce(&mut Vec<u8>) -> Result<(), &'static str>) -> Result<(), &'static str> {
    let mut result = Ok(());
    cells.push_with(|data| result = write(data));
    result
}

fn other(form: Form, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let mut fields = Fields(bytes);
    match form {
        Form::TimeTz => {
            let micros = i64::from_be_bytes(fields.take()?);
            calendar::write_time_tz(micros, fields.int()?, out).map_err(|_| WRITTEN)
        }
        Form::Bits => {
            let count = usize::try_from(fields.int()?).map_err(|_| LENGTH)?;
            let bits = fields.bytes(count.div_ceil(8))?;
            out.extend((0..count).map(|index| if bits[index / 8] & (0x80 >> (index % 8)) != 0 { b'1' } else { b'0' }));
            Ok(())
        }
        Form::Lsn => {
            let lsn = u64::from_be_bytes(exactly(bytes)?);
            write!(out, "{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF).map_err(|_| WRITTEN)
        }
        Form::Xid => write!(out, "{}", u32::from_be_bytes(exactly(bytes)?)).map_err(|_| WRITTEN),
        Form::Xid8 => write!(out, "{}", u64::from_be_bytes(exactly(bytes)?)).map_err(|_| WRITTEN),
        Form::Void => Ok(()),
        Form::Xml => {
            out.extend(from_utf8(bytes).map_err(|_| "it is not UTF-8")?.bytes());
            Ok(())
        }
        Form::VersionedText => {
            let [1, rest @ ..] = bytes else { return Err("it has an unknown version") };
            out.extend(from_utf8(rest).map_err(|_| "it is not UTF-8")?.bytes());
            Ok(())
        }
        _ => Err("it has no form here"),
    }
}

fn push_cell(builder: &mut CellsBuilder, form: Form, bytes: &[u8]) -> Result<(), &'static str> {
    match (&mut builder.cells, form) {
        (Cells::Boolean(cells), _) => cells.push(exactly::<1>(bytes)? != [0]),
        (Cells::Signed(cells), Form::Int2) => cells.push(i16::from_be_bytes(exactly(bytes)?).into()),
        (Cells::Signed(cells), Form::Int4) => cells.push(i32::from_be_bytes(exactly(bytes)?).into()),
        (Cells::Signed(cells), Form::Oid) => cells.push(u32::from_be_bytes(exactly(bytes)?).into()),
        (Cells::Signed(cells), _) => cells.push(i64::from_be_bytes(exactly(bytes)?)),
        (Cells::Float32(cells), _) => cells.push(f32::from_be_bytes(exactly(bytes)?)),
        (Cells::Float64(cells), _) => cells.push(f64::from_be_bytes(exactly(bytes)?)),
        (Cells::Decimal(cells), _) => with(cells, |out| numeric::read(bytes, out))?,
        (Cells::Text(cells), _) => text(cells, bytes)?,
        (Cells::Bytes(cells), _) => cells.push(bytes),
        (Cells::Date(cells), _) => cells.push(date(bytes)?),
        (Cells::Time(cells), _) => cells.push(u64::from_be_bytes(exactly(bytes)?)),
        (Cells::Timestamp(cells) | Cells::TimestampTz(cells), _) => cells.push(timestamp(bytes)?),
        (Cells::Interval(cells), _) => {
            let mut fields = Fields(bytes);
            let microseconds = i64::from_be_bytes(fields.take()?);
            let (days, months) = (fields.int()?, fields.int()?);
            cells.push(Interval { months, days, microseconds });
        }
        (Cells::Uuid(cells), _) => {
            let number = u128::from_be_bytes(exactly(bytes)?);
            let low = u64::try_from(number & u128::from(u64::MAX)).map_err(|_| LENGTH)?;
            cells.push(Uuid { high: u64::try_from(number >> 64).map_err(|_| LENGTH)?, low });
        }
        (Cells::Json(cells), Form::Jsonb) => match bytes {
            [1, json @ ..] => text(cells, json)?,
            _ => return Err("it has an unknown version"),
        },
        (Cells::Json(cells), _) => text(cells, bytes)?,
        (Cells::Network(cells), Form::MacAddr | Form::MacAddr8) => with(cells, |out| network::read_mac(bytes, out))?,
        (Cells::Network(cells), _) => with(cells, |out| network::read_inet(bytes, out))?,
        (Cells::Other(cells), form) => with(&mut cells.cells, |out| other(form, bytes, out))?,
        (Cells::Unsigned(_), _) => return Err("it has no form here"),
    }
    Ok(())
}

impl ColumnBuilder {
    /// Appends one value. After an error the column is of no further use.
    pub(super) fn push(&mut self, value: Option<&[u8]>) -> Result<(), &'static str> {
        match (self, value) {
            (Self::Cells(_, builder), None) => builder.push_null(),
            (Self::Cells(form, builder), Some(bytes)) => push_cell(builder, *form, bytes)?,
            (Self::Arrays(_, builder), None) => builder.push_null(),
            (Self::Arrays(form, builder), Some(bytes)) => {
                let mut fields = Fields(bytes);
                let dimensions = fields.int()?;
                let (_has_nulls, _element_oid) = (fields.int()?, fields.int()?);
                let count = match dimensions {
                    0 => 0,
                    1 => {
                        let count = fields.int()?;
                        let _lower_bound = fields.int()?;
                        count
                    }
                    _ => return Err("it has more than one dimension"),
                };
                for _ in 0..count {
                    match usize::try_from(fields.int()?) {
                        Ok(length) => push_cell(&mut builder.elements, *form, fields.bytes(length)?)?,
                        Err(_) => builder.elements.push_null(),
                    }
                }
                builder.end_array();
            }
        }
        Ok(())
    }

    /// Bytes that the column takes so far.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Cells(_, builder) => builder.cells.bytes(),
            Self::Arrays(_, builder) => builder.elements.cells.bytes() + (builder.len() + 1) * 4,
        }
    }

    pub(super) fn finish(self) -> Column {
        match self {
            Self::Cells(_, builder) => builder.finish(),
            Self::Arrays(_, builder) => builder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::types::ColumnData;

    #[test]
    fn wrong_lengths_are_errors_and_no_panics() {
        for form in [Form::Boolean, Form::Int2, Form::Interval, Form::Uuid, Form::Numeric, Form::Inet, Form::Bits, Form::TimeTz] {
            let mut column = ColumnBuilder::Cells(form, CellsBuilder::new(Cells::Signed(Vec::new())));
            assert!(column.push(Some(&[0; 3])).is_err(), "{form:?}");
        }
        let mut arrays = ColumnBuilder::Arrays(Form::Int4, crate::driver::columns::ArraysBuilder::new(Cells::Signed(Vec::new())));
        assert!(arrays.push(Some(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1])).is_err());
        assert!(arrays.push(Some(&[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 23])).is_err());
    }

    #[test]
    fn infinity_stays_apart_from_every_finite_time() {
        assert_eq!(timestamp(&i64::MAX.to_be_bytes()), Ok(i64::MAX));
        assert_eq!(timestamp(&i64::MIN.to_be_bytes()), Ok(i64::MIN));
        assert_eq!(timestamp(&0_i64.to_be_bytes()), Ok(MICROS_TO_2000));
        assert!(timestamp(&(i64::MAX - 5).to_be_bytes()).is_err());
        assert_eq!(date(&i32::MAX.to_be_bytes()), Ok(i32::MAX));
    }

    #[test]
    fn text_of_another_encoding_is_an_error() {
        let mut column = ColumnBuilder::Cells(Form::Text, CellsBuilder::new(Cells::Text(Packed::empty())));
        assert!(column.push(Some(&[0xe4])).is_err());
        let mut column = ColumnBuilder::Cells(Form::Text, CellsBuilder::new(Cells::Text(Packed::empty())));
        column.push(None).unwrap();
        column.push(Some("ä".as_bytes())).unwrap();
        let ColumnData::Cells(Cells::Text(cells)) = column.finish().data else { panic!("text") };
        assert_eq!((cells.get(0), cells.get(1)), (&b""[..], "ä".as_bytes()));
    }
}
