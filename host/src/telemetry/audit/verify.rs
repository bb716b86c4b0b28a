//! Reads a log again and finds what was done to it.

use std::{
    collections::HashMap,
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    mem,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    chain::{Chain, Head, Key, Mac, Sealed, ToldHead},
    record::{Line, MAX_LINE},
};

/// Findings that are told one by one.
const MAX_FINDINGS: usize = 100;
/// Intents without an outcome that are told one by one.
const MAX_UNKNOWN: usize = 20;
/// Lines at the beginning of a file of which one must tell where it belongs.
const FIRST_LINES: u64 = 8;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// As it was given.
    pub file: String,
    /// From 1 on.
    pub line: u64,
    /// What is wrong there.
    #[serde(flatten)]
    pub problem: Problem,
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "problem", rename_all = "kebab-case")]
pub enum Problem {
    /// Not in the form of a line.
    NotALine,
    /// Not what was written in this place.
    Edited {
        /// What the line says its number is.
        seq: u64,
    },
    /// Lines are not there, so that the next one cannot be checked.
    Missing {
        /// The first one.
        from: u64,
        /// The last one.
        to: u64,
    },
    /// Moved, doubled or inserted.
    OutOfPlace {
        /// What the line says its number is.
        seq: u64,
        /// The number that comes next.
        expected: u64,
    },
    /// No line before says which log this is; nothing of the file can be checked.
    NoBeginning,
    /// Another log begins.
    OtherChain,
    /// The log was written with another key; nothing after this can be checked.
    OtherKey,
    /// The file before has not the name that it was given.
    Renamed {
        /// The name that it was given.
        named: String,
    },
    /// The file ends within a line. A host may be writing it, or was killed and not started since.
    Torn {
        /// Bytes after the last whole line.
        bytes: u64,
    },
    /// The host could not write for a while, and says that lines are not there.
    Gap {
        /// How many.
        lines: u64,
    },
    /// The log ends before a line whose head was told.
    Cut {
        /// The number of the line whose head was told.
        head: u64,
    },
    /// The line whose head was told is not there, or another one is in its place.
    OtherHead {
        /// The number of the line whose head was told.
        head: u64,
    },
    /// The last line says that another file follows, which was not given although all were to be.
    NoEnd,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: ", self.file, self.line)?;
        match &self.problem {
            Problem::NotALine => write!(formatter, "not a line of an audit log"),
            Problem::Edited { seq } => write!(formatter, "seq {seq}: edited or moved"),
            Problem::Missing { from, to } if from == to => write!(formatter, "seq {from} missing"),
            Problem::Missing { from, to } => write!(formatter, "seq {from}\u{2013}{to} missing"),
            Problem::OutOfPlace { seq, expected } => {
                write!(formatter, "seq {seq} where {expected} comes next: moved, doubled or inserted")
            }
            Problem::NoBeginning => write!(formatter, "the beginning is missing, so that nothing here can be checked"),
            Problem::OtherChain => write!(formatter, "another log begins here"),
            Problem::OtherKey => write!(formatter, "written with another key, so that nothing from here on can be checked"),
            Problem::Renamed { named } => write!(formatter, "the file before was named `{named}`"),
            Problem::Torn { bytes } => write!(formatter, "torn: ends with {bytes} bytes of a line"),
            Problem::Gap { lines } => write!(formatter, "{lines} lines could not be written"),
            Problem::Cut { head } => write!(formatter, "cut: ends here, and head {head} was told"),
            Problem::OtherHead { head } => write!(formatter, "seq {head} is not the line whose head was told"),
            Problem::NoEnd => write!(formatter, "the file that follows is missing, or was not begun"),
        }
    }
}

/// How the last line leaves the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The host still writes, or was killed.
    Open,
    /// The host stopped.
    Closed,
    /// Another file follows; this one has this name.
    Rotated(String),
}

/// What a log is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Lines that were read.
    pub lines: u64,
    /// The number of the first line.
    pub first: Option<u64>,
    /// The end, as far as it holds.
    pub last: Head,
    /// How the last line leaves the log. It proves nothing by itself: an earlier end may stand there once the log was cut.
    pub end: End,
    /// The newest line up to which a told head vouches for everything.
    pub vouched: Option<u64>,
    /// Told heads of lines before the first one, which prove nothing.
    pub not_covered: Vec<u64>,
    /// How often a host began after an end that was not a stop.
    pub unclean_starts: u64,
    /// How often it found half a line then, and cut it off.
    pub healed: u64,
    /// Intents that no outcome follows: what became of the operations is not known, or not yet.
    pub unknown: u64,
    /// The numbers of their lines, of the first ones.
    pub unknown_lines: Vec<u64>,
    /// What is wrong; nothing if the log is intact.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub further_findings: u64,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.findings.is_empty()
    }
}

/// A file that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub struct ReadError {
    path: PathBuf,
    source: io::Error,
}

/// Verifies the files of one log, in whatever order they are given.
///
/// # Bounds
/// Blocks on the file system. Memory does not grow with the files but for operations that are under way at once.
/// # Errors
/// For a file that cannot be read; what is wrong with one that can be is in the report.
pub fn verify(files: &[PathBuf], key: Key, heads: Vec<ToldHead>) -> Result<Report, ReadError> {
    verify_with(files, Verifier::new(key, heads))
}

/// The same, by a verifier that has seen no file yet.
///
/// # Bounds
/// As for [`verify`].
/// # Errors
/// As for [`verify`].
pub fn verify_with(files: &[PathBuf], mut verifier: Verifier) -> Result<Report, ReadError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ReadError { path, source }
    };
    let mut ordered = Vec::with_capacity(files.len());
    for path in files {
        let file = File::open(path).map_err(failed(path))?;
        ordered.push((first_seq(file).map_err(failed(path))?, path));
    }
    ordered.sort_by_key(|(seq, _)| *seq);
    for (_, path) in ordered {
        let file = File::open(path).map_err(failed(path))?;
        verifier.file(&path.display().to_string(), BufReader::new(file)).map_err(failed(path))?;
    }
    Ok(verifier.finish())
}

/// Where a file belongs, as far as it says so.
fn first_seq(file: File) -> io::Result<u64> {
    let beginning = BufReader::new(file.take(FIRST_LINES * MAX_LINE as u64));
    for line in beginning.split(b'\n') {
        if let Ok(line) = serde_json::from_slice::<Line>(&line?) {
            return Ok(line.seq);
        }
    }
    Ok(u64::MAX)
}

/// Goes through the lines of a log, from its beginning on.
pub struct Verifier {
    key: Key,
    /// With whether the line was seen.
    heads: Vec<(ToldHead, bool)>,
    /// After the line before.
    chain: Option<Chain>,
    is_other_key: bool,
    /// All files are to be given.
    is_whole: bool,
    file: String,
    /// The one before that.
    file_before: Option<String>,
    line: u64,
    /// Intents that are waited for: operation and line.
    under_way: HashMap<u64, u64>,
    report: Report,
}

impl Verifier {
    /// Of a log with this key, whose heads were these at some time.
    #[must_use]
    pub fn new(key: Key, heads: Vec<ToldHead>) -> Self {
        let report = Report {
            lines: 0,
            first: None,
            last: Head::NONE,
            end: End::Open,
            vouched: None,
            not_covered: Vec::new(),
            unclean_starts: 0,
            healed: 0,
            unknown: 0,
            unknown_lines: Vec::new(),
            findings: Vec::new(),
            further_findings: 0,
        };
        Self {
            key,
            heads: heads.into_iter().map(|head| (head, false)).collect(),
            chain: None,
            is_other_key: false,
            is_whole: false,
            file: String::new(),
            file_before: None,
            line: 0,
            under_way: HashMap::new(),
            report,
        }
    }

    /// Of a log that is to be there from its first line on and to its last file, so that a file that is missing at either end is a finding.
    #[must_use]
    pub fn whole(self) -> Self {
        Self { is_whole: true, ..self }
    }

    /// Goes through the next file.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn file(&mut self, name: &str, mut reader: impl BufRead) -> io::Result<()> {
        // Such as the one that locks a log, whose name begins alike: what is found is in another one.
        if reader.fill_buf()?.is_empty() && !self.file.is_empty() {
            return Ok(());
        }
        let before = mem::replace(&mut self.file, name.to_owned());
        self.file_before = (!before.is_empty()).then_some(before);
        self.line = 0;
        let mut line = Vec::with_capacity(MAX_LINE);
        loop {
            line.clear();
            let read = reader.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(());
            }
            self.line += 1;
            self.report.lines += 1;
            if let Some(line) = line.strip_suffix(b"\n") {
                self.look(line);
                continue;
            }
            self.report.end = End::Open;
            let (bytes, has_end) = rest_of_line(&mut reader, &mut line)?;
            self.find(if has_end { Problem::NotALine } else { Problem::Torn { bytes: read as u64 + bytes } });
        }
    }

    /// What all of it came to.
    #[must_use]
    pub fn finish(mut self) -> Report {
        if self.chain.is_none() && self.report.is_intact() {
            self.find(Problem::NoBeginning);
        }
        if self.is_whole && matches!(self.report.end, End::Rotated(_)) {
            self.find(Problem::NoEnd);
        }
        self.give_up_what_is_under_way();
        let first = self.report.first.unwrap_or_default();
        let last = self.chain.as_ref().map_or(0, |chain| chain.head.seq);
        for (head, is_seen) in mem::take(&mut self.heads) {
            match head.seq {
                seq if is_seen => self.report.vouched = self.report.vouched.max(Some(seq)),
                seq if seq > last => self.find(Problem::Cut { head: seq }),
                seq if seq < first => self.report.not_covered.push(seq),
                seq => self.find(Problem::OtherHead { head: seq }),
            }
        }
        self.report
    }

    fn look(&mut self, text: &[u8]) {
        if self.is_other_key {
            return;
        }
        let (Some(sealed), Ok(line)) = (Sealed::split(text), serde_json::from_slice::<Line>(text)) else {
            self.report.end = End::Open;
            self.find(Problem::NotALine);
            return;
        };
        if line.kind == "open" {
            self.enter(&line, &sealed);
            if self.is_other_key {
                return;
            }
        }
        let Some(chain) = &mut self.chain else {
            // Said once a file.
            if self.line == 1 {
                self.find(Problem::NoBeginning);
            }
            return;
        };
        let expected = chain.head.seq.saturating_add(1);
        let here = Head { seq: line.seq, mac: sealed.mac };
        for (head, is_seen) in &mut self.heads {
            *is_seen |= head.seq == here.seq && head.is_of(&here.mac);
        }
        if chain.holds(chain.head.mac, &sealed) {
            chain.head = here;
            self.report.last = here;
            self.note(line);
            return;
        }
        self.report.end = End::Open;
        // What follows is checked against this line, unless it is known not to belong here.
        if here.seq >= expected {
            chain.head = here;
        }
        self.find(match here.seq {
            seq if seq > expected => Problem::Missing { from: expected, to: seq - 1 },
            seq if seq < expected => Problem::OutOfPlace { seq, expected },
            seq => Problem::Edited { seq },
        });
    }

    /// Takes up the chain that a first line of a file tells, if it is new.
    fn enter(&mut self, line: &Line, sealed: &Sealed<'_>) {
        let id = line.chain.as_deref().unwrap_or_default();
        let previous = line.previous.as_ref();
        if self.chain.as_ref().is_some_and(|chain| chain.id == id) {
            let is_named = |before: &String, named: &str| Path::new(before).file_name().is_some_and(|name| name == named);
            if let (1, Some(before), Some(previous)) = (self.line, &self.file_before, previous)
                && !is_named(before, &previous.file)
            {
                self.find(Problem::Renamed { named: previous.file.clone() });
            }
            return;
        }
        let before = previous.and_then(|previous| Mac::parse(previous.mac.as_bytes())).unwrap_or(Mac::NONE);
        let chain = Chain::new(&self.key, id, Head { seq: line.seq.saturating_sub(1), mac: before });
        if self.chain.is_none() {
            if line.key.as_ref() != Some(&self.key.id()) {
                self.is_other_key = true;
                self.find(Problem::OtherKey);
                return;
            }
            self.report.first = Some(line.seq);
            if self.is_whole && line.seq > 1 {
                self.find(Problem::Missing { from: 1, to: line.seq - 1 });
            }
        } else if chain.holds(before, sealed) {
            self.find(Problem::OtherChain);
            self.give_up_what_is_under_way();
        } else {
            // Whoever inserted it had no key.
            return;
        }
        self.chain = Some(chain);
    }

    /// Takes note of what a line says that holds.
    fn note(&mut self, line: Line) {
        let kind = line.kind.as_str();
        self.report.end = match (kind, line.to) {
            ("close", _) => End::Closed,
            ("rotate", Some(to)) => End::Rotated(to),
            _ => End::Open,
        };
        match (kind, line.op) {
            ("intent", Some(op)) => {
                self.under_way.insert(op, line.seq);
            }
            ("outcome", Some(op)) => {
                self.under_way.remove(&op);
            }
            ("start", _) => {
                self.give_up_what_is_under_way();
                self.report.unclean_starts += u64::from(line.clean == Some(false));
                self.report.healed += u64::from(line.torn.is_some());
            }
            ("gap", _) => {
                if let Some(lines @ 1..) = line.lines {
                    self.find(Problem::Gap { lines });
                }
            }
            _ => {}
        }
    }

    /// No outcome of these will come any more.
    fn give_up_what_is_under_way(&mut self) {
        let mut lines: Vec<u64> = self.under_way.drain().map(|(_, line)| line).collect();
        lines.sort_unstable();
        self.report.unknown += lines.len() as u64;
        let room = MAX_UNKNOWN - self.report.unknown_lines.len();
        self.report.unknown_lines.extend(lines.into_iter().take(room));
    }

    fn find(&mut self, problem: Problem) {
        if self.report.findings.len() < MAX_FINDINGS {
            self.report.findings.push(Finding { file: self.file.clone(), line: self.line, problem });
        } else {
            self.report.further_findings += 1;
        }
    }
}

/// Reads to the end of a line that is too long, or torn: how many bytes that are, and whether it has an end.
fn rest_of_line(reader: &mut impl BufRead, scratch: &mut Vec<u8>) -> io::Result<(u64, bool)> {
    let mut bytes = 0;
    loop {
        scratch.clear();
        let read = reader.by_ref().take(MAX_LINE as u64).read_until(b'\n', scratch)?;
        bytes += read as u64;
        if read == 0 || scratch.ends_with(b"\n") {
            return Ok((bytes, read > 0));
        }
    }
}
