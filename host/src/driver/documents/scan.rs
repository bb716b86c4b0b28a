//! Looks at every byte of a document before anything else does: nothing that reads BSON recursively sees what was not accepted here.

use crate::driver::{Failure, FailureKind, settings::Access};

/// Bytes that a document may have, and the documents of one request together: as MongoDB has it.
pub const MAX_BYTES: usize = 16 << 20;

/// How deep a document may be nested, itself included: as MongoDB has it.
pub const MAX_DEPTH: usize = 100;

/// The least that a document is: its length and its end.
const EMPTY: usize = 5;

/// Stages that tell of other sessions, or never end.
const REFUSED: [&str; 7] = [
    "$changeStream",
    "$currentOp",
    "$listLocalSessions",
    "$listSampledQueries",
    "$listSessions",
    "$planCacheStats",
    "$queryStats",
];

/// What the names begin with that servers use among themselves. Some of them run code, or trust what they are told.
const INTERNAL: [&str; 2] = ["$_internal", "$internal"];

/// Stages that write.
const WRITING: [&str; 2] = ["$out", "$merge"];

/// Operators that run code in the server.
const SCRIPTS: [&str; 3] = ["$where", "$function", "$accumulator"];

/// What a document is for, which says what names may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// To be stored or compared: any name.
    Data,
    /// To be evaluated by the server, for a grant of this access. A name is refused wherever it stands, also as data within `$literal`.
    Expression(Access),
}

/// What was found in a document that is fine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// A stage that writes is named.
    pub(super) writes: bool,
}

/// Looks at all of a document: lengths and ends, types, strings, names, depth.
///
/// # Bounds
/// One pass over at most [`MAX_BYTES`]; the stack is an array of [`MAX_DEPTH`].
/// # Errors
/// `Invalid` for what is not BSON or too deep, `LimitExceeded` for what is too long, before a byte of it is read, and `Denied` for a name that the
/// rules refuse.
pub(super) fn scan(bytes: &[u8], rules: Rules) -> Result<Found, Failure> {
    if bytes.len() > MAX_BYTES {
        return Err(too_long());
    }
    let mut scanner = Scanner { bytes, at: 0, ends: [0; MAX_DEPTH], depth: 0, rules, found: Found::default() };
    scanner.open(bytes.len())?;
    if scanner.end() < bytes.len() {
        return Err(malformed("something follows", scanner.end()));
    }
    while scanner.depth > 0 {
        scanner.element()?;
    }
    Ok(scanner.found)
}

pub(super) fn too_long() -> Failure {
    Failure::new(FailureKind::LimitExceeded, format!("a document, and all of one request, may have {MAX_BYTES} bytes at most"))
        .with("limit", "document_bytes")
        .with("maximum", MAX_BYTES)
}

fn malformed(what: &str, at: usize) -> Failure {
    Failure::new(FailureKind::Invalid, format!("this is not a BSON document: {what} at byte {at}"))
}

/// The first document of several that lie end to end, and the rest.
///
/// # Errors
/// `Invalid` when there is no whole document.
pub(super) fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), Failure> {
    let length = bytes.first_chunk().map(|length| i32::from_le_bytes(*length)).and_then(|length| usize::try_from(length).ok());
    length.and_then(|length| bytes.split_at_checked(length.max(EMPTY))).ok_or_else(|| malformed("a wrong length", 0))
}

/// Where a scan is.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where each document ends that is open, the outermost first.
    ends: [usize; MAX_DEPTH],
    depth: usize,
    rules: Rules,
    found: Found,
}

impl<'a> Scanner<'a> {
    /// The end of the innermost document.
    fn end(&self) -> usize {
        self.ends[self.depth - 1]
    }

    /// Takes bytes, which end before `end`.
    fn take(&mut self, count: usize, end: usize) -> Result<&'a [u8], Failure> {
        match self.at.checked_add(count) {
            Some(after) if after <= end => {
                let taken = &self.bytes[self.at..after];
                self.at = after;
                Ok(taken)
            }
            _ => Err(malformed("a value without its end", self.at)),
        }
    }

    fn skip(&mut self, count: usize, end: usize) -> Result<(), Failure> {
        self.take(count, end).map(|_| ())
    }

    fn length(&mut self, end: usize) -> Result<usize, Failure> {
        let at = self.at;
        let length = self.take(4, end)?.first_chunk().map(|length| i32::from_le_bytes(*length));
        length.and_then(|length| usize::try_from(length).ok()).ok_or_else(|| malformed("a negative length", at))
    }

    /// Begins a document here, which ends at `end` at the latest.
    fn open(&mut self, end: usize) -> Result<(), Failure> {
        let start = self.at;
        let length = self.length(end)?;
        match start.checked_add(length) {
            Some(own) if length >= EMPTY && own <= end => {
                if self.depth == MAX_DEPTH {
                    return Err(too_deep());
                }
                self.ends[self.depth] = own;
                self.depth += 1;
                Ok(())
            }
            _ => Err(malformed("a wrong length", start)),
        }
    }

    /// The next element of the innermost document, or its end.
    fn element(&mut self) -> Result<(), Failure> {
        let (end, start) = (self.end(), self.at);
        let kind = self.take(1, end)?[0];
        if kind == 0 {
            self.depth -= 1;
            return if self.at == end { Ok(()) } else { Err(malformed("an end too early", start)) };
        }
        // The last byte is the document's own end.
        let end = end - 1;
        let name = self.text(end)?;
        if name.starts_with('$') {
            self.check(name)?;
        }
        self.value(kind, end)
    }

    fn value(&mut self, kind: u8, end: usize) -> Result<(), Failure> {
        let start = self.at;
        match kind {
            // Undefined, null, smallest, greatest.
            0x06 | 0x0A | 0xFF | 0x7F => {}
            // Double, date, timestamp, 64-bit integer.
            0x01 | 0x09 | 0x11 | 0x12 => self.skip(8, end)?,
            0x10 => self.skip(4, end)?,
            // ObjectId, decimal.
            0x07 => self.skip(12, end)?,
            0x13 => self.skip(16, end)?,
            0x08 => {
                if self.take(1, end)?[0] > 1 {
                    return Err(malformed("a boolean that is neither", start));
                }
            }
            // String, code, symbol.
            0x02 | 0x0D | 0x0E => self.string(end)?,
            // A pointer into another collection.
            0x0C => {
                self.string(end)?;
                self.skip(12, end)?;
            }
            0x0B => {
                self.text(end)?;
                self.text(end)?;
            }
            0x05 => self.binary(end)?,
            0x03 | 0x04 => self.open(end)?,
            // Code with a document of its variables.
            0x0F => {
                let length = self.length(end)?;
                let own = start.checked_add(length).filter(|own| *own <= end);
                let own = own.ok_or_else(|| malformed("a wrong length", start))?;
                self.string(own)?;
                self.open(own)?;
                if self.end() != own {
                    return Err(malformed("a wrong length", start));
                }
            }
            _ => return Err(malformed("a type that there is not", start)),
        }
        Ok(())
    }

    /// Text that ends with a zero byte.
    fn text(&mut self, end: usize) -> Result<&'a str, Failure> {
        let start = self.at;
        let length = self.bytes.get(start..end).and_then(|bytes| bytes.iter().position(|byte| *byte == 0));
        let length = length.ok_or_else(|| malformed("a name without its end", start))?;
        let text = &self.bytes[start..start + length];
        self.at = start + length + 1;
        std::str::from_utf8(text).map_err(|_| malformed("a name that is not UTF-8", start))
    }

    /// Text of a length that counts the zero byte at its end; others may be within.
    fn string(&mut self, end: usize) -> Result<(), Failure> {
        let start = self.at;
        let length = self.length(end)?;
        match self.take(length, end)?.split_last() {
            Some((0, text)) if std::str::from_utf8(text).is_ok() => Ok(()),
            Some((0, _)) => Err(malformed("a string that is not UTF-8", start)),
            _ => Err(malformed("a string without its end", start)),
        }
    }

    fn binary(&mut self, end: usize) -> Result<(), Failure> {
        const OLD: u8 = 2;
        let start = self.at;
        let length = self.length(end)?;
        let subtype = self.take(1, end)?[0];
        let bytes = self.take(length, end)?;
        let inner = bytes.first_chunk().map(|length| i32::from_le_bytes(*length)).and_then(|length| usize::try_from(length).ok());
        if subtype == OLD && inner.and_then(|inner| inner.checked_add(4)) != Some(length) {
            return Err(malformed("a wrong length", start));
        }
        Ok(())
    }

    fn check(&mut self, name: &str) -> Result<(), Failure> {
        let Rules::Expression(access) = self.rules else { return Ok(()) };
        let refused = |why: &str| Failure::new(FailureKind::Denied, format!("`{name}` is refused: {why}")).with("operator", name);
        if REFUSED.contains(&name) {
            return Err(refused("it tells of what is not the handler's, or never ends"));
        }
        if INTERNAL.iter().any(|start| name.starts_with(start)) {
            return Err(refused("servers use it among themselves"));
        }
        if WRITING.contains(&name) {
            self.found.writes = true;
        }
        if access == Access::ReadOnly && (WRITING.contains(&name) || SCRIPTS.contains(&name)) {
            return Err(refused("the grant is for reading only"));
        }
        Ok(())
    }
}

fn too_deep() -> Failure {
    Failure::new(FailureKind::Invalid, format!("a document may be nested {MAX_DEPTH} deep at most"))
        .with("limit", "document_depth")
        .with("maximum", MAX_DEPTH)
}
