//! What the limits of a database are called: by the words of SQL's pools, or by those of MongoDB's driver, whose URLs say them as well.

use std::time::Duration;

use super::{
    address::Address,
    diagnostics::Location,
    reader::{Context, Field, Table},
    values::{LEAST, SecretText},
};
use crate::driver::mongodb::url::Pooling;

/// More connections are no number of any database.
const MOST: u32 = 10_000;

/// Keys that mean the same, whatever they are called.
pub(super) struct Names {
    /// Sessions at most.
    pub(super) most: &'static str,
    /// Sessions that are kept open.
    pub(super) least: &'static str,
    /// How long the others may be idle.
    pub(super) idle: &'static str,
}

/// For every engine that speaks SQL.
pub(super) static SQL: Names = Names { most: "max_connections", least: "min_connections", idle: "idle_timeout" };

/// For MongoDB.
pub(super) static DOCUMENTS: Names = Names { most: "max_pool_size", least: "min_pool_size", idle: "max_idle_time" };

impl Names {
    /// Whether they are those of MongoDB.
    pub(super) fn is_documents(&self) -> bool {
        self.most == DOCUMENTS.most
    }

    /// Reports the keys that only the others have.
    pub(super) fn refuse_others(&self, table: &mut Table<'_>) {
        let (own, others) = if self.is_documents() { (&DOCUMENTS, &SQL) } else { (&SQL, &DOCUMENTS) };
        let whose = if self.is_documents() { "is no key of a MongoDB database" } else { "is a key of MongoDB databases only" };
        for (other, own) in [(others.most, own.most), (others.least, own.least), (others.idle, own.idle)] {
            table.refuse(other, &format!("`{other}` {whose}"), &format!("the same is called `{own}` here"));
        }
        let only: &[(&str, &str)] = if self.is_documents() {
            &[
                ("busy_timeout", "remove it; only SQLite waits so for another writer"),
                ("statement_cache", "remove it; there are no prepared statements"),
            ]
        } else {
            &[("server_selection_timeout", "remove it; `connect_timeout` bounds all that opening a session takes")]
        };
        for &(other, hint) in only {
            table.refuse(other, &format!("`{other}` {whose}"), hint);
        }
    }
}

/// What the URL of a database says of its pool. Nothing for SQL.
pub(super) struct InUrl<'a> {
    context: &'a Context<'a>,
    pub(super) pooling: Pooling,
    /// Where the URL stands, and under which key.
    at: Location,
    key: &'static str,
}

impl<'a> InUrl<'a> {
    pub(super) fn new(context: &'a Context<'a>, url: Option<&SecretText>, address: Option<&Address>, database: Location) -> Self {
        let (at, key) = url.map_or((database, "url"), |url| (url.at, url.key));
        Self { context, pooling: address.map(Address::pooling).unwrap_or_default(), at, key }
    }

    /// A number of connections that the table may say by its key, and the URL by its option.
    pub(super) fn number(
        &self,
        table: &mut Table<'_>,
        (key, option): (&'static str, &str),
        default: u32,
        least: u32,
        said: Option<u32>,
    ) -> Field<u32> {
        let field = table.number(key, default, least, MOST);
        self.settle(field, (key, option), said, (least, MOST), |number| number.to_string())
    }

    /// A duration likewise.
    pub(super) fn duration(
        &self,
        table: &mut Table<'_>,
        (key, option): (&'static str, &str),
        default: Duration,
        most: Duration,
        said: Option<Duration>,
    ) -> Duration {
        let field = table.duration(key, default, LEAST, most);
        let show = |duration| humantime::format_duration(duration).to_string();
        self.settle(field, (key, option), said, (LEAST, most), show).value
    }

    /// Whichever of both says it; reported when they differ.
    fn settle<T: Copy + PartialOrd>(
        &self,
        field: Field<T>,
        (key, option): (&str, &str),
        said: Option<T>,
        (least, most): (T, T),
        show: impl Fn(T) -> String,
    ) -> Field<T> {
        let Some(said) = said else { return field };
        if said < least || said > most {
            let allowed = format!("allowed: {} to {}", show(least), show(most));
            self.context.error(self.at, format!("`{option}` of `{}` is out of range", self.key), allowed);
            return Field { sound: false, ..field };
        }
        if !field.given {
            return Field { value: said, at: self.at, given: true, sound: true };
        }
        if !field.sound || field.value == said {
            return field;
        }
        let message =
            format!("`{key}` is {}, but `{option}` of the database's `{}` is {}", show(field.value), self.key, show(said));
        self.context.error_with(field.at, message, "say it in one place, or the same in both", |error| {
            error.also(self.at, "the other place");
        });
        Field { sound: false, ..field }
    }
}
