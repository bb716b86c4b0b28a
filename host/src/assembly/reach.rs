//! Holds what a component imports of databases against what its plugin is granted of them.
//!
//! A database is reached through the interface of its kind alone. One that is imported by a plugin without a grant of that kind compiles, links,
//! and refuses whatever is opened.

use crate::{
    config::{Config, Diagnostics, Grant, Location, Plugin},
    driver::Engine,
};

/// Databases that are reached through the same interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sql,
    Documents,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Sql, Self::Documents];

    fn of(engine: Engine) -> Self {
        match engine {
            Engine::Postgres | Engine::Mysql | Engine::Sqlite => Self::Sql,
            Engine::Mongodb => Self::Documents,
        }
    }

    /// That of a granted database; `None` when its table is missing or wrong, which was told already.
    fn of_grant(grant: &Grant, config: &Config) -> Option<Self> {
        let database = config.databases.iter().find(|database| database.name == grant.database)?;
        Some(Self::of(database.engine))
    }

    /// The package whose twin has `-async` at its end.
    fn package(self) -> &'static str {
        match self {
            Self::Sql => "wharf:sql",
            Self::Documents => "wharf:documents",
        }
    }

    /// One of them, without an article.
    fn database(self) -> &'static str {
        match self {
            Self::Sql => "SQL database",
            Self::Documents => "MongoDB database",
        }
    }

    /// What to do where none of them is granted, and nothing else is reached either.
    fn remedy(self) -> &'static str {
        match self {
            Self::Sql => {
                "grant it a PostgreSQL, MariaDB, MySQL or SQLite database; a MongoDB database is reached through `wharf:documents`"
            }
            Self::Documents => "grant it a MongoDB database; every other database is reached through `wharf:sql`",
        }
    }

    /// Whether an import opens databases of this kind.
    fn is_opened_by(self, import: &str) -> bool {
        let rest = import.strip_prefix(self.package()).map(|rest| rest.strip_prefix("-async").unwrap_or(rest));
        rest.is_some_and(|rest| rest.starts_with("/database@0.1."))
    }
}

/// An import that opens databases, none of which is granted.
pub(super) struct Unreached {
    message: String,
    hint: &'static str,
    /// What is granted instead, with what it is.
    instead: Vec<(Location, String)>,
    /// Whether the plugin reaches others, by another import: then it may do without these.
    may_do: bool,
}

/// What a plugin imports of databases in vain, at most one import of each kind.
pub(super) fn unreached(config: &Config, plugin: &Plugin, imports: &[String]) -> Vec<Unreached> {
    let opening = |kind: Kind| Some((kind, imports.iter().find(|import| kind.is_opened_by(import))?));
    let imported: Vec<(Kind, &String)> = Kind::ALL.into_iter().filter_map(opening).collect();
    let (name, grants) = (&plugin.name, &plugin.databases);
    if grants.is_empty() {
        let unreached = |(_, import): &(Kind, &String)| Unreached {
            message: format!("plugin `{name}` imports {import}, and no database is granted to it"),
            hint: "add `databases.NAME = { access = \"read-only\" }`, or \"read-write\"",
            instead: Vec::new(),
            may_do: false,
        };
        return imported.first().map(unreached).into_iter().collect();
    }
    // One of which nothing is known may be of any kind.
    let is_reached = |kind: Kind| grants.iter().any(|grant| Kind::of_grant(grant, config).is_none_or(|granted| granted == kind));
    let may_do = imported.iter().any(|(kind, _)| is_reached(*kind));
    let instead = |grant: &Grant| {
        let granted = Kind::of_grant(grant, config)?;
        Some((grant.location, format!("granted: one {}", granted.database())))
    };
    let unreached = |(kind, import): (Kind, &String)| Unreached {
        message: format!("plugin `{name}` imports {import}, and no {} is granted to it", kind.database()),
        hint: if may_do { "grant it one, unless it never opens any" } else { kind.remedy() },
        instead: if may_do { Vec::new() } else { grants.iter().filter_map(instead).collect() },
        may_do,
    };
    imported.into_iter().filter(|(kind, _)| !is_reached(*kind)).map(unreached).collect()
}

impl Unreached {
    /// Adds it at the plugin's place in the file: as an error when the plugin reaches no database at all, otherwise as a warning.
    pub(super) fn tell(self, plugin: &Plugin, diagnostics: &mut Diagnostics) {
        let Self { message, hint, instead, may_do } = self;
        let told = if may_do {
            diagnostics.warning(plugin.location, message, hint)
        } else {
            diagnostics.error(plugin.location, message, hint)
        };
        for (at, label) in instead {
            told.also(at, label);
        }
    }

    /// Logs it. A start goes on: the plugin may have routes that need no database.
    pub(super) fn log(&self, config: &Config, plugin: &Plugin) {
        let (line, column) = config.source.line_and_column(plugin.location);
        let at = format!("{}:{line}:{column}", config.source.path());
        tracing::warn!(at, "{}; {}", self.message, self.hint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_opened_by_the_interface_of_their_kind_and_its_twin() {
        for (import, kind) in [
            ("wharf:sql/database@0.1.0", Some(Kind::Sql)),
            ("wharf:sql-async/database@0.1.7", Some(Kind::Sql)),
            ("wharf:documents/database@0.1.0", Some(Kind::Documents)),
            ("wharf:documents-async/database@0.1.0", Some(Kind::Documents)),
            ("wharf:sql/types@0.1.0", None),
            ("wharf:documents/types@0.1.0", None),
            // Refused by its version.
            ("wharf:sql/database@0.2.0", None),
            ("wasi:http/types@0.2.12", None),
        ] {
            assert_eq!(Kind::ALL.into_iter().find(|kind| kind.is_opened_by(import)), kind, "{import}");
        }
    }
}
