//! Everything that is wrong with a configuration, each thing with its place in the file and a hint.

use std::{fmt, ops::Range, sync::Arc};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::redact::redact_line;

/// A place in the file, in bytes. Valid only together with the [`Source`] it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    start: usize,
    end: usize,
}

impl From<Range<usize>> for Location {
    fn from(span: Range<usize>) -> Self {
        Self { start: span.start, end: span.end }
    }
}

impl Location {
    /// The place in bytes.
    #[must_use]
    pub fn span(self) -> Range<usize> {
        self.start..self.end
    }
}

/// The file as it may be shown: credentials in it are masked, byte for byte, so that every [`Location`] stays true.
#[derive(Debug)]
pub struct Source {
    path: String,
    text: String,
}

impl Source {
    /// A file by its path and its masked text.
    pub(super) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// The path as the user gave it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Line and column of the start of a place, both from 1, the column in characters.
    #[must_use]
    pub fn line_and_column(&self, at: Location) -> (usize, usize) {
        let before = self.text.get(..at.start).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is accepted; `wharf check` tells.
    Warning,
}

/// One thing to tell, with every place that has to do with it.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    severity: Severity,
    message: String,
    at: Option<Location>,
    also: Vec<(Location, String)>,
    hint: String,
    needs_whole_file: bool,
}

impl Diagnostic {
    /// Shows a second place, with a word on what it has to do with the first.
    pub fn also(&mut self, at: Location, label: impl Into<String>) -> &mut Self {
        self.also.push((at, printable(label.into())));
        self
    }

    /// Marks an error that a syntax error elsewhere may have caused: something seems missing that could not be read.
    pub(super) fn needs_whole_file(&mut self) -> &mut Self {
        self.needs_whole_file = true;
        self
    }

    /// What is wrong, in one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where, unless it concerns the file as a whole.
    #[must_use]
    pub fn location(&self) -> Option<Location> {
        self.at
    }
}

/// All that is to be told about one file. Later stages add to it: `Diagnostics::new(config.source.clone())`.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    source: Arc<Source>,
    entries: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Nothing to tell yet.
    #[must_use]
    pub fn new(source: Arc<Source>) -> Self {
        Self { source, entries: Vec::new() }
    }

    /// Adds an error. `at` is `None` when it concerns the file as a whole; the message is one line without a full stop and without
    /// secrets; the hint says what to do and may be empty.
    pub fn error(
        &mut self,
        at: impl Into<Option<Location>>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> &mut Diagnostic {
        self.add(Severity::Error, at.into(), message.into(), hint.into())
    }

    /// Adds a warning; everything else as for [`Diagnostics::error`].
    pub fn warning(
        &mut self,
        at: impl Into<Option<Location>>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> &mut Diagnostic {
        self.add(Severity::Warning, at.into(), message.into(), hint.into())
    }

    /// Takes over what another stage had to tell about the same file.
    pub fn append(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    /// How many errors there are.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many warnings there are.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Errors in a line each, without the text of the file: place, message, hint.
    #[must_use]
    pub fn error_lines(&self) -> Vec<String> {
        let errors = self.entries.iter().filter(|entry| entry.severity == Severity::Error);
        let line = |entry: &Diagnostic| {
            let place = entry.at.map_or_else(String::new, |at| {
                let (line, column) = self.source.line_and_column(at);
                format!(":{line}:{column}")
            });
            let hint = if entry.hint.is_empty() { String::new() } else { format!("; {}", entry.hint) };
            format!("{}{place}: {}{hint}", self.source.path, entry.message)
        };
        errors.map(line).collect()
    }

    /// One by one, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.entries.iter()
    }

    /// All of it in the order of the file, then a line that counts. Empty when there is nothing to tell. Escape sequences for
    /// colour only when `color` is set: the caller knows whether it writes to a terminal.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        if self.is_empty() {
            return String::new();
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut sorted: Vec<&Diagnostic> = self.entries.iter().collect();
        sorted.sort_by_key(|entry| entry.at);
        let mut out = String::new();
        for entry in sorted {
            out.push_str(&renderer.render(&self.report(entry)));
            out.push_str("\n\n");
        }
        out.push_str(&self.summary());
        out.push('\n');
        out
    }

    /// Forgets what a syntax error may have caused: whatever seems missing, and whatever is on the line of the syntax error.
    pub(super) fn forgive_after_syntax_errors(&mut self, syntax: Self) {
        let lines: Vec<usize> = syntax.entries.iter().filter_map(|entry| Some(self.line(entry.at?))).collect();
        let mut entries = std::mem::take(&mut self.entries);
        entries.retain(|entry| !entry.needs_whole_file && !entry.at.is_some_and(|at| lines.contains(&self.line(at))));
        self.entries = entries;
        self.append(syntax);
    }

    fn line(&self, at: Location) -> usize {
        self.source.line_and_column(at).0
    }

    fn add(&mut self, severity: Severity, at: Option<Location>, message: String, hint: String) -> &mut Diagnostic {
        // A message may quote a value, and a credential may stand where nobody expects one.
        let (message, hint) = (redact_line(&printable(message)), printable(hint));
        let index = self.entries.len();
        self.entries.push(Diagnostic { severity, message, at, also: Vec::new(), hint, needs_whole_file: false });
        &mut self.entries[index]
    }

    fn count(&self, severity: Severity) -> usize {
        self.entries.iter().filter(|entry| entry.severity == severity).count()
    }

    fn summary(&self) -> String {
        let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let counts: Vec<String> = [(self.errors(), "error"), (self.warnings(), "warning")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| plural(count, word))
            .collect();
        format!("{}: {}", self.source.path, counts.join(", "))
    }

    fn report<'a>(&'a self, entry: &'a Diagnostic) -> Vec<Group<'a>> {
        let level = match entry.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(entry.message.as_str()));
        if let Some(at) = entry.at {
            let mut snippet = Snippet::source(self.source.text.as_str()).path(self.source.path.as_str());
            snippet = snippet.annotation(AnnotationKind::Primary.span(self.in_text(at)));
            for (place, label) in &entry.also {
                snippet = snippet.annotation(AnnotationKind::Context.span(self.in_text(*place)).label(label.as_str()));
            }
            group = group.element(snippet);
        }
        if !entry.hint.is_empty() {
            group = group.element(Level::HELP.message(entry.hint.as_str()));
        }
        vec![group]
    }

    /// A place that is certain to be in the text and on character boundaries, and no longer than its first line: a table that spans
    /// twenty lines would bury the message.
    fn in_text(&self, at: Location) -> Range<usize> {
        let text = &self.source.text;
        let start = text.floor_char_boundary(at.start.min(text.len()));
        let end = text.ceil_char_boundary(at.end.clamp(start, text.len()));
        let first_line = text[start..end].split(['\n', '\r']).next().map_or(0, str::len);
        start..start + first_line
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// A key may hold any escape sequence; what is shown on a terminal may not.
fn printable(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    text.chars().map(|char| if char.is_control() { char.escape_default().to_string() } else { char.to_string() }).collect()
}
