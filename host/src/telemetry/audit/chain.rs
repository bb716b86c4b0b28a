//! How each line vouches for all lines before it: keys, MACs, heads, and what of a line is sealed.

use std::{
    fmt,
    str::{self, FromStr},
};

use hmac::{Hmac, KeyInit, Mac as _};
use serde::{Serialize, Serializer};
use sha2::Sha256;

/// Bytes of a key, at least.
pub const MIN_KEY_BYTES: usize = 32;

/// Digits of a MAC that a head is told with, at least: as many as a metric holds.
pub const MIN_HEAD_DIGITS: usize = 13;

/// What stands between what is sealed and its MAC.
const BEFORE_MAC: &[u8] = b",\"mac\":\"";
const AFTER_MAC: &[u8] = b"\"}";
const MAC_DIGITS: usize = 64;

/// What lines are sealed with. There is no way to show it.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

/// A key that could be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key of the audit log has {MIN_KEY_BYTES} bytes at least")]
pub struct ShortKey;

impl Key {
    /// A key of these bytes, whatever they are, but for line breaks at the end: files and variables have them or not, and whoever verifies a log
    /// must come to the same key as the host.
    ///
    /// # Errors
    /// [`ShortKey`] below [`MIN_KEY_BYTES`].
    pub fn new(text: &str) -> Result<Self, ShortKey> {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.len() < MIN_KEY_BYTES { Err(ShortKey) } else { Ok(Self(keyed(text.as_bytes()))) }
    }

    /// By which a log says which key it wants, and gives nothing of it away.
    pub(super) fn id(&self) -> String {
        self.mac(&[b"wharf-audit-key"]).to_string()[..8].to_owned()
    }

    fn mac(&self, parts: &[&[u8]]) -> Mac {
        seal(&self.0, parts)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(redacted)")
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn seal(keyed: &Hmac<Sha256>, parts: &[&[u8]]) -> Mac {
    let mut mac = keyed.clone();
    for part in parts {
        mac.update(part);
    }
    Mac(mac.finalize().into_bytes().into())
}

/// The seal of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mac([u8; 32]);

impl Mac {
    /// What stands for the line before the first one.
    pub(super) const NONE: Self = Self([0; 32]);

    /// Lower-case digits only: the same MAC in other letters is a changed line.
    pub(super) fn parse(digits: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        if digits.len() != MAC_DIGITS || !digits.iter().all(is_digit) {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

fn is_digit(digit: &u8) -> bool {
    matches!(digit, b'0'..=b'9' | b'a'..=b'f')
}

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The end of a log: the number of its last line, from 1 on, and that line's MAC. Whoever keeps it elsewhere can tell later whether the log
/// still has that line and all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of the last line; 0 when there is none.
    pub seq: u64,
    /// Of the last line.
    pub mac: Mac,
}

impl Head {
    pub(super) const NONE: Self = Self { seq: 0, mac: Mac::NONE };

    /// The first 52 bits of the MAC, which a metric holds exactly.
    #[must_use]
    pub fn bits(&self) -> u64 {
        self.mac.0.iter().take(8).fold(0, |bits, byte| (bits << 8) | u64::from(*byte)) >> 12
    }
}

/// As `wharf audit verify --head` takes it: `SEQ:MAC`.
impl fmt::Display for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.seq, self.mac)
    }
}

impl Serialize for Head {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A head that somebody kept, with [`MIN_HEAD_DIGITS`] of its MAC at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldHead {
    /// The number of the line.
    pub seq: u64,
    digits: String,
}

/// Text that is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a head is SEQ:HEX with {MIN_HEAD_DIGITS} to {MAC_DIGITS} hexadecimal digits")]
pub struct NoHead;

impl ToldHead {
    pub(super) fn is_of(&self, mac: &Mac) -> bool {
        mac.to_string().starts_with(&self.digits)
    }
}

impl FromStr for ToldHead {
    type Err = NoHead;

    fn from_str(text: &str) -> Result<Self, NoHead> {
        let (seq, digits) = text.split_once(':').ok_or(NoHead)?;
        let digits = digits.to_ascii_lowercase();
        if !(MIN_HEAD_DIGITS..=MAC_DIGITS).contains(&digits.len()) || !digits.bytes().all(|digit| is_digit(&digit)) {
            return Err(NoHead);
        }
        Ok(Self { seq: seq.parse().map_err(|_| NoHead)?, digits })
    }
}

/// A chain and where it stands. Its lines are sealed with a key of its own, so that none can be moved to another log of the same operator.
#[derive(Clone)]
pub(super) struct Chain {
    pub(super) id: String,
    keyed: Hmac<Sha256>,
    pub(super) head: Head,
}

impl Chain {
    pub(super) fn new(key: &Key, id: &str, head: Head) -> Self {
        let own = key.mac(&[b"wharf-audit-1", id.as_bytes()]);
        Self { id: id.to_owned(), keyed: keyed(&own.0), head }
    }

    /// Adds a line to `text`: `record` is what it says between its number and its MAC.
    pub(super) fn append(&mut self, text: &mut Vec<u8>, record: &[u8]) {
        let start = text.len();
        let seq = self.head.seq + 1;
        text.extend_from_slice(format!("{{\"seq\":{seq},").as_bytes());
        text.extend_from_slice(record);
        let mac = self.mac(self.head.mac, &text[start..]);
        text.extend_from_slice(BEFORE_MAC);
        text.extend_from_slice(mac.to_string().as_bytes());
        text.extend_from_slice(AFTER_MAC);
        text.push(b'\n');
        self.head = Head { seq, mac };
    }

    /// Whether a line is the one that follows a line of this MAC.
    pub(super) fn holds(&self, before: Mac, line: &Sealed<'_>) -> bool {
        self.mac(before, line.body) == line.mac
    }

    fn mac(&self, before: Mac, body: &[u8]) -> Mac {
        seal(&self.keyed, &[&before.0, body])
    }
}

/// A line, without its line break, taken apart.
pub(super) struct Sealed<'a> {
    body: &'a [u8],
    pub(super) mac: Mac,
}

impl<'a> Sealed<'a> {
    /// Nothing for what cannot be a line of ours.
    pub(super) fn split(line: &'a [u8]) -> Option<Self> {
        let (body, mac) = line.strip_suffix(AFTER_MAC)?.split_last_chunk::<MAC_DIGITS>()?;
        Some(Self { body: body.strip_suffix(BEFORE_MAC)?, mac: Mac::parse(mac)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_line_holds_only_after_the_one_before_it_in_its_chain() {
        let key = Key::new(KEY).unwrap();
        let mut chain = Chain::new(&key, "a", Head::NONE);
        let mut text = Vec::new();
        chain.append(&mut text, b"\"kind\":\"one\"");
        let first = chain.head;
        chain.append(&mut text, b"\"kind\":\"two\"");
        let lines: Vec<_> = text.split(|byte| *byte == b'\n').filter_map(Sealed::split).collect();
        assert_eq!((lines.len(), lines[0].mac, lines[1].mac), (2, first.mac, chain.head.mac));
        assert!(chain.holds(Mac::NONE, &lines[0]) && chain.holds(first.mac, &lines[1]));
        assert!(!chain.holds(Mac::NONE, &lines[1]) && !Chain::new(&key, "b", Head::NONE).holds(Mac::NONE, &lines[0]));
        let other = Key::new(&KEY.replace('0', "1")).unwrap();
        assert!(!Chain::new(&other, "a", Head::NONE).holds(Mac::NONE, &lines[0]));
        assert_ne!(other.id(), key.id());
    }

    #[test]
    fn a_key_is_long_and_never_shown() {
        assert_eq!(Key::new(&KEY[1..]).unwrap_err(), ShortKey);
        assert_eq!(Key::new(&format!("{}\n", &KEY[1..])).unwrap_err(), ShortKey);
        assert_eq!(Key::new(&format!("{KEY}\r\n")).unwrap().id(), Key::new(KEY).unwrap().id());
        assert_eq!(format!("{:?}", Key::new(KEY).unwrap()), "Key(redacted)");
    }

    #[test]
    fn a_head_is_told_whole_or_in_part() {
        let mac = Mac::parse("0123456789abcdef".repeat(4).as_bytes()).unwrap();
        let head = Head { seq: 812, mac };
        assert_eq!(head.bits(), 0x0000_1234_5678_9abc);
        let told: ToldHead = head.to_string().parse().unwrap();
        assert!(told.seq == 812 && told.is_of(&mac));
        assert!("812:0123456789ABC".parse::<ToldHead>().unwrap().is_of(&mac));
        assert!(!"812:0123456789abd".parse::<ToldHead>().unwrap().is_of(&mac));
        for wrong in ["", "812", "812:0123456789ab", "x:0123456789abc", "812:0123456789abg", ":0123456789abc"] {
            assert_eq!(wrong.parse::<ToldHead>(), Err(NoHead), "{wrong}");
        }
        assert!(Mac::parse("0123456789ABCDEF".repeat(4).as_bytes()).is_none());
    }
}
