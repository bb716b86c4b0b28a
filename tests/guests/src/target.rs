//! What a request asks for: the path chooses a variant of the behaviour, the query gives its numbers.

/// Path and query of a request.
#[derive(Debug)]
pub struct Target {
    path: String,
    query: String,
}

impl Target {
    /// Takes the two apart.
    #[must_use]
    pub fn new(path_with_query: Option<String>) -> Self {
        let target = path_with_query.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        Self { path: path.to_owned(), query: query.to_owned() }
    }

    /// The last segment of the path, which chooses a variant of the behaviour.
    #[must_use]
    pub fn variant(&self) -> &str {
        self.path.rsplit('/').find(|segment| !segment.is_empty()).unwrap_or_default()
    }

    /// A parameter of the query, percent-decoded.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key == name).then(|| percent_decode(value))
        })
    }

    /// A number from the query, or its default.
    #[must_use]
    pub fn number(&self, name: &str, default: u64) -> u64 {
        self.parameter(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    /// The name of the database that `?database=` gives, or `main`.
    #[must_use]
    pub fn database_name(&self) -> String {
        self.parameter("database").unwrap_or_else(|| "main".to_owned())
    }

    /// The statement that `?sql=` gives, or one that answers one row.
    #[must_use]
    pub fn sql(&self) -> String {
        self.parameter("sql").unwrap_or_else(|| "SELECT 1".to_owned())
    }
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                u8::from_str_radix(&String::from_utf8_lossy(&digits), 16).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
