//! The reference of `wharf.toml`, made by the code that reads it: which settings there are, what each may hold, and what is said of it.
//!
//! `texts` finds the words above the fields that settings are read into; `page` and `schema` are the two forms that come out.

mod page;
mod schema;
mod texts;

use std::{cell::RefCell, path::Path, sync::Arc};

use toml::de::DeTable;

pub use self::{page::settings_page, schema::schema};
use super::{
    diagnostics::{Diagnostics, Source},
    dialect::DOCUMENTS,
    reader::Context,
    recorder::{Kind, Recorder},
    sections,
};

/// What stands for a name that the operator chooses.
const NAME: &str = "NAME";

const SQL: &str = "of-sql";
const MONGODB: &str = "of-mongodb";
const PLUGIN: &str = "any";

/// A key of `wharf.toml`.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its keys from the top of the file, such as `databases.NAME.bounds.cancel`.
    pub path: String,
    /// What it may hold.
    pub kind: Kind,
    /// The databases that have it, where not all do: `SQL` or `MongoDB`.
    pub only: Option<&'static str>,
    /// The keys of the same table of which one must be given, this one among them; none when it can be left out.
    pub needed: Vec<String>,
    /// What it means, in plain words, with its bounds.
    pub text: String,
}

impl Setting {
    /// The table that it is in; empty for the top of the file.
    fn table(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }

    fn key(&self) -> &str {
        key(&self.path)
    }

    /// The table that it is, if it is one.
    fn inside(&self) -> Option<String> {
        match self.kind {
            Kind::Table => Some(self.path.clone()),
            Kind::Tables => Some(format!("{}.{NAME}", self.path)),
            _ => None,
        }
    }
}

fn key(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, key)| key)
}

/// All settings, in the order in which they are read: a configuration is read that has a table of every kind, and nothing in them.
#[must_use]
pub fn settings() -> Vec<Setting> {
    let text = format!(
        "[databases.{SQL}]\n[databases.{MONGODB}]\n{} = 1\n[plugins.{PLUGIN}]\ndatabases.{SQL} = {{}}\n",
        // By its own words a database is known as one of MongoDB.
        DOCUMENTS.most
    );
    let (table, _) = DeTable::parse_recoverable(&text);
    let source = Arc::new(Source::new("", ""));
    let recorder = Recorder::default();
    let context = Context {
        text: &text,
        base: Path::new(""),
        environment: &|_: &str| None,
        // Much is missing, and nobody asks.
        diagnostics: RefCell::new(Diagnostics::new(source.clone())),
        recorder: Some(&recorder),
    };
    sections(&context, table.get_ref(), Path::new(""), &source);

    let needed = recorder.needed.borrow();
    let mut settings: Vec<Setting> = Vec::new();
    for (asked, kind) in recorder.asked.borrow().iter() {
        let path = anonymous(asked);
        if let Some(known) = settings.iter_mut().find(|known| known.path == path) {
            known.only = None;
            continue;
        }
        let group = needed.iter().find(|group| group.contains(asked));
        let mut setting = Setting {
            path,
            kind: kind.clone(),
            only: only(asked),
            needed: group.into_iter().flatten().map(|path| key(path).to_owned()).collect(),
            text: String::new(),
        };
        if let (Kind::Choice { default, .. }, false) = (&mut setting.kind, setting.needed.is_empty()) {
            *default = None;
        }
        setting.text = texts::of(&setting);
        settings.push(setting);
    }
    settings
}

/// The databases that have a key of one of them, until it is met in the other one as well.
fn only(asked: &str) -> Option<&'static str> {
    let of = |name: &str| asked.strip_prefix("databases.").is_some_and(|rest| rest.starts_with(&format!("{name}.")));
    if of(SQL) {
        Some("SQL")
    } else if of(MONGODB) {
        Some("MongoDB")
    } else {
        None
    }
}

fn anonymous(path: &str) -> String {
    let part = |part| if [SQL, MONGODB, PLUGIN].contains(&part) { NAME } else { part };
    path.split('.').map(part).collect::<Vec<_>>().join(".")
}
