//! The server's types, and in which form each crosses.

use std::borrow::Cow;

use sqlx::{
    TypeInfo,
    postgres::{PgTypeInfo, PgTypeKind},
};

use crate::driver::{
    columns::{ArraysBuilder, CellsBuilder},
    types::{Cells, Packed},
};

/// A type as the server describes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ServerType {
    /// As `psql` would call it, short: `int4`, `text[]`, `mood`.
    pub(super) name: Cow<'static, str>,
    pub(super) oid: u32,
    pub(super) shape: Shape,
}

/// Whether values of a type cross, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    Scalar(Form),
    Array {
        element_oid: u32,
        form: Form,
    },
    /// Its binary form is not known here.
    Unsupported,
}

/// The binary forms that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Boolean,
    Int2,
    Int4,
    Int8,
    /// Unsigned, 32 bits; crosses as a signed number.
    Oid,
    Float4,
    Float8,
    Numeric,
    /// Text as it is, enums included.
    Text,
    Bytes,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Interval,
    Uuid,
    Json,
    /// A version byte, then JSON.
    Jsonb,
    Inet,
    Cidr,
    /// Six bytes.
    MacAddr,
    /// Eight bytes.
    MacAddr8,
    /// The forms from here on have no case of their own and cross as text under their type's name.
    Xml,
    /// A version byte, then text.
    VersionedText,
    TimeTz,
    Bits,
    Lsn,
    /// Unsigned, 32 bits.
    Xid,
    /// Unsigned, 64 bits.
    Xid8,
    Void,
}

impl Form {
    fn cells(self, type_name: &str) -> Cells {
        match self {
            Self::Boolean => Cells::Boolean(Vec::new()),
            Self::Int2 | Self::Int4 | Self::Int8 | Self::Oid => Cells::Signed(Vec::new()),
            Self::Float4 => Cells::Float32(Vec::new()),
            Self::Float8 => Cells::Float64(Vec::new()),
            Self::Numeric => Cells::Decimal(Packed::empty()),
            Self::Text => Cells::Text(Packed::empty()),
            Self::Bytes => Cells::Bytes(Packed::empty()),
            Self::Date => Cells::Date(Vec::new()),
            Self::Time => Cells::Time(Vec::new()),
            Self::Timestamp => Cells::Timestamp(Vec::new()),
            Self::TimestampTz => Cells::TimestampTz(Vec::new()),
            Self::Interval => Cells::Interval(Vec::new()),
            Self::Uuid => Cells::Uuid(Vec::new()),
            Self::Json | Self::Jsonb => Cells::Json(Packed::empty()),
            Self::Inet | Self::Cidr | Self::MacAddr | Self::MacAddr8 => Cells::Network(Packed::empty()),
            Self::Xml | Self::VersionedText | Self::TimeTz | Self::Bits | Self::Lsn | Self::Xid | Self::Xid8 | Self::Void => {
                Cells::other(type_name)
            }
        }
    }
}

/// Name and form of a type that every PostgreSQL has, by its fixed number.
fn built_in(oid: u32) -> Option<(&'static str, Form)> {
    Some(match oid {
        16 => ("bool", Form::Boolean),
        17 => ("bytea", Form::Bytes),
        18 => ("char", Form::Text),
        19 => ("name", Form::Text),
        20 => ("int8", Form::Int8),
        21 => ("int2", Form::Int2),
        23 => ("int4", Form::Int4),
        25 => ("text", Form::Text),
        26 => ("oid", Form::Oid),
        28 => ("xid", Form::Xid),
        29 => ("cid", Form::Xid),
        114 => ("json", Form::Json),
        142 => ("xml", Form::Xml),
        650 => ("cidr", Form::Cidr),
        700 => ("float4", Form::Float4),
        701 => ("float8", Form::Float8),
        705 => ("unknown", Form::Text),
        774 => ("macaddr8", Form::MacAddr8),
        829 => ("macaddr", Form::MacAddr),
        869 => ("inet", Form::Inet),
        1042 => ("bpchar", Form::Text),
        1043 => ("varchar", Form::Text),
        1082 => ("date", Form::Date),
        1083 => ("time", Form::Time),
        1114 => ("timestamp", Form::Timestamp),
        1184 => ("timestamptz", Form::TimestampTz),
        1186 => ("interval", Form::Interval),
        1266 => ("timetz", Form::TimeTz),
        1560 => ("bit", Form::Bits),
        1562 => ("varbit", Form::Bits),
        1700 => ("numeric", Form::Numeric),
        1790 => ("refcursor", Form::Text),
        2275 => ("cstring", Form::Text),
        2278 => ("void", Form::Void),
        2950 => ("uuid", Form::Uuid),
        3220 => ("pg_lsn", Form::Lsn),
        3802 => ("jsonb", Form::Jsonb),
        4072 => ("jsonpath", Form::VersionedText),
        5069 => ("xid8", Form::Xid8),
        _ => return None,
    })
}

fn oid(info: &PgTypeInfo) -> u32 {
    info.oid().map_or(0, |oid| oid.0)
}

/// The form of a type that is no array, domains looked through.
fn scalar(info: &PgTypeInfo) -> Option<Form> {
    if let Some((_, form)) = built_in(oid(info)) {
        return Some(form);
    }
    match info.kind() {
        PgTypeKind::Domain(base) => scalar(base),
        PgTypeKind::Enum(_) => Some(Form::Text),
        // Extensions have no fixed numbers. `pretty` names carry the schema where it is not in the search path.
        PgTypeKind::Simple => match info.name().rsplit('.').next() {
            Some("citext") => Some(Form::Text),
            Some("ltree" | "lquery" | "ltxtquery") => Some(Form::VersionedText),
            _ => None,
        },
        _ => None,
    }
}

fn name(info: &PgTypeInfo) -> Cow<'static, str> {
    if let Some((name, _)) = built_in(oid(info)) {
        return Cow::Borrowed(name);
    }
    match (oid(info), info.kind()) {
        (22, _) => Cow::Borrowed("int2vector"),
        (30, _) => Cow::Borrowed("oidvector"),
        (_, PgTypeKind::Array(element)) => Cow::Owned(format!("{}[]", name(element))),
        // sqlx writes the names of the types it knows in capitals.
        (number, _) if number < 16384 => Cow::Owned(info.name().to_ascii_lowercase()),
        _ => Cow::Owned(info.name().to_owned()),
    }
}

impl ServerType {
    pub(super) fn new(info: &PgTypeInfo) -> Self {
        let mut base = info;
        while let PgTypeKind::Domain(inner) = base.kind() {
            base = inner;
        }
        let shape = match (oid(base), base.kind()) {
            (22, _) => Shape::Array { element_oid: 21, form: Form::Int2 },
            (30, _) => Shape::Array { element_oid: 26, form: Form::Oid },
            (_, PgTypeKind::Array(element)) => match scalar(element) {
                Some(form) => Shape::Array { element_oid: oid(element), form },
                None => Shape::Unsupported,
            },
            _ => scalar(base).map_or(Shape::Unsupported, Shape::Scalar),
        };
        Self { name: name(info), oid: oid(info), shape }
    }

    /// The name of the elements of an array.
    fn element_name(&self) -> &str {
        match &*self.name {
            "int2vector" => "int2",
            "oidvector" => "oid",
            name => name.strip_suffix("[]").unwrap_or(name),
        }
    }

    /// An empty column for values of this type; `None` when they do not cross.
    pub(super) fn column(&self) -> Option<ColumnBuilder> {
        Some(match self.shape {
            Shape::Scalar(form) => ColumnBuilder::Cells(form, CellsBuilder::new(form.cells(&self.name))),
            Shape::Array { form, .. } => ColumnBuilder::Arrays(form, ArraysBuilder::new(form.cells(self.element_name()))),
            Shape::Unsupported => return None,
        })
    }
}

/// A column that is being filled from the wire.
#[derive(Debug)]
pub(super) enum ColumnBuilder {
    Cells(Form, CellsBuilder),
    Arrays(Form, ArraysBuilder),
}
