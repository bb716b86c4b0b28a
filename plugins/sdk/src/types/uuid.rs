//! A UUID.

use std::fmt;
use std::str::FromStr;

use super::{ParseError, serde_as_text, serde_name};
use crate::wire;

/// A UUID. Text form `67e55044-10b1-426f-9247-bb680e5fe0c8`; 32 digits without hyphens are understood too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(u128);

impl Uuid {
    /// From its 128 bits.
    #[must_use]
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// From its 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// A random UUID, version 4, from the host's random numbers.
    #[cfg(target_family = "wasm")]
    #[must_use]
    pub fn random() -> Self {
        use crate::bindings::sync::wasi::random0_2_12::random::get_random_u64;
        let bits = u128::from(get_random_u64()) << 64 | u128::from(get_random_u64());
        Self(bits & !(0xf << 76) & !(0b11 << 62) | 0x4 << 76 | 0b10 << 62)
    }

    /// Its 128 bits.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl From<wire::Uuid> for Uuid {
    fn from(uuid: wire::Uuid) -> Self {
        Self(u128::from(uuid.high) << 64 | u128::from(uuid.low))
    }
}

impl From<Uuid> for wire::Uuid {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
    fn from(uuid: Uuid) -> Self {
        Self { high: (uuid.0 >> 64) as u64, low: uuid.0 as u64 }
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            bits >> 96,
            bits >> 80 & 0xffff,
            bits >> 64 & 0xffff,
            bits >> 48 & 0xffff,
            bits & 0xffff_ffff_ffff
        )
    }
}

impl FromStr for Uuid {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const ERROR: ParseError = ParseError::new("a UUID such as 67e55044-10b1-426f-9247-bb680e5fe0c8");
        let hyphens = match text.len() {
            32 => false,
            36 => true,
            _ => return Err(ERROR),
        };
        let mut bits = 0;
        for (index, character) in text.chars().enumerate() {
            if hyphens && matches!(index, 8 | 13 | 18 | 23) {
                if character != '-' {
                    return Err(ERROR);
                }
            } else {
                bits = bits << 4 | u128::from(character.to_digit(16).ok_or(ERROR)?);
            }
        }
        Ok(Self(bits))
    }
}

serde_as_text!(Uuid, serde_name::UUID, "a UUID such as 67e55044-10b1-426f-9247-bb680e5fe0c8");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_wire_forms_round_trip() {
        let text = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        let uuid: Uuid = text.parse().unwrap();
        assert_eq!(uuid.to_string(), text);
        assert_eq!("67E5504410B1426F9247BB680E5FE0C8".parse(), Ok(uuid));
        let wire = wire::Uuid::from(uuid);
        assert_eq!((wire.high, wire.low), (0x67e5_5044_10b1_426f, 0x9247_bb68_0e5f_e0c8));
        assert_eq!(Uuid::from(wire), uuid);
        assert_eq!(Uuid::from_u128(1).to_string(), "00000000-0000-0000-0000-000000000001");
    }

    #[test]
    fn what_is_no_uuid_is_refused() {
        for text in [
            "",
            "67e55044-10b1-426f-9247-bb680e5fe0c",
            "67e5504410b1-426f-9247-bb680e5fe0c8--",
            "g7e55044-10b1-426f-9247-bb680e5fe0c8",
        ] {
            assert!(text.parse::<Uuid>().is_err(), "{text}");
        }
    }
}
