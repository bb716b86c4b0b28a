//! Finds where a log ends, whatever the host before died of, so that it can be gone on with.

use std::io;

use sha2::{Digest, Sha256};

use super::{
    chain::{Chain, Head, Key, Mac, Sealed},
    disk::{Bytes, Folder},
    log::{Limits, Log, MAX_UNSYNCED, Stage, ended_files},
    record::{Line, MAX_LINE, Torn},
};

/// Bytes at the end of a file in which its last line must be, and that are looked at: all that may not be on the disk.
const TAIL: u64 = 2 * MAX_UNSYNCED as u64;
/// Bytes that are read at once to count lines.
const CHUNK: usize = 64 << 10;
/// What every line begins with.
const BEGINNING: &[u8] = b"{\"seq\":";

/// Why a log cannot be gone on with. None of it goes away by itself: another file has to be named, or the old ones moved away.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another host writes it.
    #[error("another host writes this audit log")]
    Locked,
    /// The system does not let it be read or written.
    #[error("the audit log cannot be read or written")]
    Io(#[from] io::Error),
    /// It was begun with another key.
    #[error("{file} was written with another key")]
    OtherKey {
        /// Its name.
        file: String,
    },
    /// Its beginning or its end was changed.
    #[error("{file} does not hold: {what}")]
    Damaged {
        /// Its name.
        file: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// One of its last lines was changed, or never reached the disk before the power was lost, though later ones did.
    #[error("{file} does not hold: line {line} does not follow the one before it, and `wharf audit verify` says what is lost")]
    Broken {
        /// Its name.
        file: String,
        /// Which line of it, from 1 on.
        line: u64,
    },
}

/// How a log was found.
pub(super) struct Found<F: Folder> {
    pub(super) log: Log<F>,
    /// It is new, or its last line says that the host stopped.
    pub(super) is_clean: bool,
    /// What was cut off its end.
    pub(super) torn: Option<Torn>,
}

/// Finds the end of a log, or that there is none yet. What is torn is cut off; nothing else is changed.
///
/// # Errors
/// See [`StartError`].
pub(super) fn recover<F: Folder>(mut folder: F, name: &str, limits: Limits, key: &Key) -> Result<Found<F>, StartError> {
    let mut torn = None;
    if let Some(file) = folder.open(name)? {
        let mut tail = Tail::read(name, file)?;
        torn = tail.torn.take();
        if tail.has_lines() {
            let (chain, line) = tail.checked(name, key)?;
            tail.secure()?;
            let is_clean = torn.is_none() && line.kind == "close";
            let size = tail.whole();
            let stage = match line.to {
                Some(to) if line.kind == "rotate" => Stage::Ended(to),
                _ => Stage::Open(tail.file),
            };
            let log = Log::new(folder, name.to_owned(), limits, key, chain, stage, size);
            return Ok(Found { log, is_clean, torn });
        }
    }
    // The host before ended between two files, or there was none.
    let Some(newest) = ended_files(&mut folder, name)?.pop() else {
        let id = format!("{:032x}", rand::random::<u128>());
        let chain = Chain::new(key, &id, Head::NONE);
        let is_clean = torn.is_none();
        let log = Log::new(folder, name.to_owned(), limits, key, chain, Stage::Away(None), 0);
        return Ok(Found { log, is_clean, torn });
    };
    let damaged = |what| StartError::Damaged { file: newest.clone(), what };
    let file = folder.open(&newest)?.ok_or_else(|| damaged("it went away"))?;
    let mut tail = Tail::read(&newest, file)?;
    if !tail.has_lines() {
        return Err(damaged("it has no line"));
    }
    let (chain, line) = tail.checked(&newest, key)?;
    if line.kind != "rotate" || tail.torn.is_some() {
        return Err(damaged("it does not end as a file does that another one follows"));
    }
    let log = Log::new(folder, name.to_owned(), limits, key, chain, Stage::Away(Some(newest)), 0);
    Ok(Found { log, is_clean: false, torn })
}

/// The end of a file.
struct Tail<File> {
    file: File,
    /// What was read of it, from `start` on, without what is torn.
    bytes: Vec<u8>,
    start: u64,
    torn: Option<Torn>,
}

impl<File: Bytes> Tail<File> {
    fn read(name: &str, mut file: File) -> Result<Self, StartError> {
        let size = file.size()?;
        let start = size.saturating_sub(TAIL);
        let mut bytes = vec![0; usize::try_from(size - start).map_err(io::Error::other)?];
        file.read_exactly_at(&mut bytes, start)?;
        let mut breaks = bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
        let last = breaks.next();
        // Where the line before the last one begins, one must know.
        if start > 0 && breaks.nth(1).is_none() {
            return Err(StartError::Damaged { file: name.to_owned(), what: "it has no line at its end" });
        }
        // Somebody else's, and it would be written over: a line that was begun has this beginning, or what a loss of power leaves.
        let is_begun =
            || bytes.iter().zip(BEGINNING).all(|(byte, expected)| byte == expected) || bytes.iter().all(|byte| *byte == 0);
        if last.is_none() && !is_begun() {
            return Err(StartError::Damaged { file: name.to_owned(), what: "it has no line of an audit log" });
        }
        let whole = last.map_or(0, |end| end + 1);
        let torn = torn(&bytes[whole..]);
        bytes.truncate(whole);
        Ok(Self { file, bytes, start, torn })
    }

    fn has_lines(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Bytes up to the end of the last whole line.
    fn whole(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Cuts off what is torn, and makes sure that the rest is on the disk. It is written again for that: after a sync that failed in the host
    /// before, another one tells nothing.
    fn secure(&mut self) -> io::Result<()> {
        self.file.cut(self.whole())?;
        self.file.write_all_at(&self.bytes, self.start)?;
        self.file.sync()
    }
}

fn torn(bytes: &[u8]) -> Option<Torn> {
    let digest = || Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    (!bytes.is_empty()).then(|| Torn { bytes: bytes.len() as u64, sha256: digest() })
}

impl<File: Bytes> Tail<File> {
    /// The chain after the last line and what that says, if the file begins as a log of this key does, and each line here follows the one before.
    /// After a loss of power the last one is not enough: some file systems write what is later in a file before what is earlier.
    fn checked(&mut self, name: &str, key: &Key) -> Result<(Chain, Line), StartError> {
        let damaged = |what| StartError::Damaged { file: name.to_owned(), what };
        let first = first_line(&mut self.file)?;
        let (sealed, open) = parsed(&first).ok_or_else(|| damaged("its first line is none of an audit log"))?;
        let (Some(id), Some(key_id)) = (open.chain, open.key) else { return Err(damaged("its first line is none of a file")) };
        if key_id != key.id() {
            return Err(StartError::OtherKey { file: name.to_owned() });
        }
        let mac = |text: String| Mac::parse(text.as_bytes()).unwrap_or(Mac::NONE);
        let before_first = open.previous.map_or(Mac::NONE, |previous| mac(previous.mac));
        let mut chain = Chain::new(key, &id, Head { seq: open.seq, mac: sealed.mac });
        if !chain.holds(before_first, &sealed) {
            return Err(damaged("its first line was changed"));
        }
        // Of a file that is read in part the first line is not whole, and nothing is known of what the next one follows.
        let (mut at, mut before) = (0, Some(before_first));
        if self.start > 0 {
            (at, before) = (self.bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1), None);
        }
        let mut last: &[u8] = &[];
        for line in self.bytes[at..].split_inclusive(|byte| *byte == b'\n') {
            last = line.strip_suffix(b"\n").unwrap_or(line);
            let follows = |sealed: &Sealed<'_>| before.map_or(last.starts_with(BEGINNING), |before| chain.holds(before, sealed));
            let sealed = Sealed::split(last).filter(follows);
            let Some(sealed) = sealed else {
                let line = line_at(&mut self.file, self.start + at as u64)?;
                return Err(StartError::Broken { file: name.to_owned(), line });
            };
            (at, before) = (at + line.len(), Some(sealed.mac));
        }
        let line: Line = serde_json::from_slice(last).map_err(|_| damaged("its last line is none of an audit log"))?;
        chain.head = Head { seq: line.seq, mac: before.unwrap_or(Mac::NONE) };
        Ok((chain, line))
    }
}

/// Which line of a file, from 1 on, begins after so many bytes.
fn line_at(file: &mut impl Bytes, end: u64) -> io::Result<u64> {
    let (mut line, mut at) = (1, 0);
    let mut chunk = vec![0; CHUNK];
    while at < end {
        let size = usize::try_from(end - at).map_or(CHUNK, |left| left.min(CHUNK));
        file.read_exactly_at(&mut chunk[..size], at)?;
        line += chunk[..size].split(|byte| *byte == b'\n').count() as u64 - 1;
        at += size as u64;
    }
    Ok(line)
}

fn first_line(file: &mut impl Bytes) -> io::Result<Vec<u8>> {
    let size = file.size()?.min(MAX_LINE as u64);
    let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    file.read_exactly_at(&mut bytes, 0)?;
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    bytes.truncate(end);
    Ok(bytes)
}

fn parsed(line: &[u8]) -> Option<(Sealed<'_>, Line)> {
    Some((Sealed::split(line)?, serde_json::from_slice(line).ok()?))
}
