//! The frame of a message: OP_MSG, which is all that drivers have sent since MongoDB 6.

use std::io;

use bson::RawDocument;

/// Length, number, the number that is answered to, kind; four bytes each.
pub(crate) const HEADER: usize = 16;
/// The kind of message, [`HEADER`]'s last part.
pub(crate) const OP_MSG: i32 = 2013;
/// In bytes; `hello` says so.
pub(crate) const LONGEST: usize = 48_000_000;

const HAS_CHECKSUM: u32 = 1;
const MORE_TO_COME: u32 = 2;
const CHECKSUM: usize = 4;

/// What a client sends.
pub(crate) struct Message<'a> {
    /// An answer names it.
    pub(crate) number: i32,
    /// Not for writes that nobody waits for.
    pub(crate) wants_answer: bool,
    /// The command. What comes in sequences beside it is not looked at.
    pub(crate) body: &'a RawDocument,
}

/// The length of the first message, once it is there.
///
/// # Errors
/// When no message has such a length.
pub(crate) fn whole(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(length) = number(bytes, 0) else { return Ok(None) };
    match usize::try_from(length) {
        Ok(length) if (HEADER..=LONGEST).contains(&length) => Ok((length <= bytes.len()).then_some(length)),
        _ => Err(malformed()),
    }
}

/// For what is no message that this server understands.
pub(crate) fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

impl<'a> Message<'a> {
    /// Takes a whole message apart.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        if number(bytes, 12)? != OP_MSG {
            return None;
        }
        let flags = number(bytes, HEADER)?.cast_unsigned();
        let end = bytes.len().checked_sub(if flags & HAS_CHECKSUM == 0 { 0 } else { CHECKSUM })?;
        let mut sections = bytes.get(HEADER + 4..end)?;
        let mut body = None;
        while let Some((kind, rest)) = sections.split_first() {
            // Both kinds begin with their length, which counts itself.
            let (section, after) = rest.split_at_checked(usize::try_from(number(rest, 0)?).ok()?)?;
            match kind {
                0 => body = Some(RawDocument::from_bytes(section).ok()?),
                1 => {}
                _ => return None,
            }
            sections = after;
        }
        Some(Self { number: number(bytes, 4)?, wants_answer: flags & MORE_TO_COME == 0, body: body? })
    }
}

fn number(bytes: &[u8], at: usize) -> Option<i32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(i32::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn message(flags: u32, sections: &[&[u8]], checksum: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 4];
        bytes.extend(7_i32.to_le_bytes());
        bytes.extend(0_i32.to_le_bytes());
        bytes.extend(OP_MSG.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(sections.concat());
        bytes.extend(checksum);
        let length = i32::try_from(bytes.len()).expect("short");
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes
    }

    fn body() -> Vec<u8> {
        let mut section = vec![0];
        section.extend(doc! { "ping": 1 }.to_vec().expect("a document"));
        section
    }

    /// Two documents of five bytes behind the name `d`.
    const SEQUENCE: &[u8] = b"\x01\x10\0\0\0d\0\x05\0\0\0\0\x05\0\0\0\0";

    #[test]
    fn a_message_is_found_whatever_lies_around_its_command() {
        let ping = doc! { "ping": 1 }.to_vec().expect("a document");
        for (bytes, wants_answer) in [
            (message(0, &[&body()], b""), true),
            (message(0, &[SEQUENCE, &body()], b""), true),
            (message(HAS_CHECKSUM, &[&body(), SEQUENCE], b"abcd"), true),
            (message(MORE_TO_COME, &[&body()], b""), false),
        ] {
            assert_eq!(whole(&bytes).expect("a length"), Some(bytes.len()));
            assert_eq!(whole(&bytes[..bytes.len() - 1]).expect("a length"), None);
            let message = Message::parse(&bytes).expect("a message");
            assert_eq!((message.number, message.wants_answer), (7, wants_answer));
            assert_eq!(message.body.as_bytes(), ping);
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert!(whole(&[15, 0, 0, 0]).is_err() && whole(&[0, 0, 0, 0x80]).is_err() && whole(&[0xff; 4]).is_err());
        assert_eq!(whole(&[16, 0, 0]).expect("nothing yet"), None);
        let good = message(0, &[&body()], b"");
        for at in 0..good.len() {
            // Nothing of this may panic.
            assert!(Message::parse(&good[..at]).is_none(), "{at}");
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            _ = Message::parse(&bad);
        }
        let without: [&[&[u8]]; 5] = [&[SEQUENCE], &[b"\x02\x05\0\0\0\0"], &[b"\0\x05\0\0\0\x01"], &[b"\0\xff\xff\xff\xff"], &[]];
        for sections in without {
            assert!(Message::parse(&message(0, sections, b"")).is_none(), "{sections:?}");
        }
    }
}
