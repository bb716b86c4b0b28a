//! The types of columns, and in which form each crosses.

use sqlx::{
    Column as _, MySql, Type, TypeInfo,
    mysql::{MySqlColumn, MySqlTypeInfo},
};

use crate::driver::{
    ColumnInfo,
    columns::CellsBuilder,
    types::{Cells, Packed},
};

/// The binary forms that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `TINYINT(1)`: a boolean while all its cells are 0 or 1.
    Boolean,
    /// So many bytes, with a sign.
    Signed,
    Unsigned,
    /// Up to eight bytes, the highest first.
    Bits,
    Float,
    Double,
    Decimal,
    Text,
    Json,
    Bytes,
    Date,
    /// Negative or longer than a day as it likes, so an interval.
    Time,
    Datetime,
    Timestamp,
}

impl Form {
    /// The form of a type, and the type's name.
    pub(super) fn of(info: &MySqlTypeInfo) -> (Self, &'static str) {
        // The collation tells text from bytes; sqlx's names go by a flag that `_bin` collations have as well.
        let text = <str as Type<MySql>>::compatible(info);
        let unsigned = <u8 as Type<MySql>>::compatible(info);
        match static_name(info.name()) {
            "BOOLEAN" if unsigned => (Self::Unsigned, "TINYINT UNSIGNED"),
            "BOOLEAN" => (Self::Boolean, "BOOLEAN"),
            "YEAR" => (Self::Unsigned, "YEAR"),
            "BIT" => (Self::Bits, "BIT"),
            "FLOAT" => (Self::Float, "FLOAT"),
            "DOUBLE" => (Self::Double, "DOUBLE"),
            "DECIMAL" => (Self::Decimal, "DECIMAL"),
            "JSON" => (Self::Json, "JSON"),
            "DATE" => (Self::Date, "DATE"),
            "TIME" => (Self::Time, "TIME"),
            "DATETIME" => (Self::Datetime, "DATETIME"),
            "TIMESTAMP" => (Self::Timestamp, "TIMESTAMP"),
            name @ ("TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT") => (Self::Signed, name),
            name if unsigned => (Self::Unsigned, name),
            name @ ("ENUM" | "SET" | "NULL") => (Self::Text, name),
            name if text => (Self::Text, text_name(name)),
            name => (Self::Bytes, name),
        }
    }

    pub(super) fn column(self) -> CellsBuilder {
        CellsBuilder::new(match self {
            Self::Boolean | Self::Signed => Cells::Signed(Vec::new()),
            Self::Unsigned | Self::Bits => Cells::Unsigned(Vec::new()),
            Self::Float => Cells::Float32(Vec::new()),
            Self::Double => Cells::Float64(Vec::new()),
            Self::Decimal => Cells::Decimal(Packed::empty()),
            Self::Text => Cells::Text(Packed::empty()),
            Self::Json => Cells::Json(Packed::empty()),
            Self::Bytes => Cells::Bytes(Packed::empty()),
            Self::Date => Cells::Date(Vec::new()),
            Self::Time => Cells::Interval(Vec::new()),
            Self::Datetime => Cells::Timestamp(Vec::new()),
            Self::Timestamp => Cells::TimestampTz(Vec::new()),
        })
    }
}

/// sqlx's names are static, but its trait does not say so.
fn static_name(name: &str) -> &'static str {
    const NAMES: [&str; 34] = [
        "BOOLEAN",
        "TINYINT UNSIGNED",
        "SMALLINT UNSIGNED",
        "INT UNSIGNED",
        "MEDIUMINT UNSIGNED",
        "BIGINT UNSIGNED",
        "TINYINT",
        "SMALLINT",
        "INT",
        "MEDIUMINT",
        "BIGINT",
        "FLOAT",
        "DOUBLE",
        "NULL",
        "TIMESTAMP",
        "DATE",
        "TIME",
        "DATETIME",
        "YEAR",
        "BIT",
        "ENUM",
        "SET",
        "DECIMAL",
        "GEOMETRY",
        "JSON",
        "BINARY",
        "VARBINARY",
        "CHAR",
        "VARCHAR",
        "TINYBLOB",
        "BLOB",
        "MEDIUMBLOB",
        "LONGBLOB",
        "TEXT",
    ];
    let text = match name {
        "TINYTEXT" => "TINYTEXT",
        "MEDIUMTEXT" => "MEDIUMTEXT",
        "LONGTEXT" => "LONGTEXT",
        _ => "UNKNOWN",
    };
    NAMES.into_iter().find(|known| *known == name).unwrap_or(text)
}

/// The name of a type of text that sqlx takes for bytes.
fn text_name(name: &'static str) -> &'static str {
    match name {
        "BINARY" => "CHAR",
        "VARBINARY" => "VARCHAR",
        "TINYBLOB" => "TINYTEXT",
        "BLOB" => "TEXT",
        "MEDIUMBLOB" => "MEDIUMTEXT",
        "LONGBLOB" => "LONGTEXT",
        name => name,
    }
}

/// Names and forms of the columns of a result.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Columns {
    pub(super) infos: Vec<ColumnInfo>,
    pub(super) forms: Vec<Form>,
}

impl PartialEq<[MySqlColumn]> for Columns {
    fn eq(&self, columns: &[MySqlColumn]) -> bool {
        self.forms.len() == columns.len()
            && columns.iter().zip(&self.infos).zip(&self.forms).all(|((column, info), form)| {
                let (found, name) = Form::of(column.type_info());
                found == *form && name == info.type_name && column.name() == info.name
            })
    }
}

impl Columns {
    pub(super) fn new(columns: &[MySqlColumn]) -> Self {
        let (mut infos, mut forms) = (Vec::with_capacity(columns.len()), Vec::with_capacity(columns.len()));
        for column in columns {
            let (form, name) = Form::of(column.type_info());
            infos.push(ColumnInfo { name: column.name().to_owned(), type_name: name.to_owned() });
            forms.push(form);
        }
        Self { infos, forms }
    }
}
