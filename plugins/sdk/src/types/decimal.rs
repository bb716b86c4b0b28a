//! A decimal number of any precision.

use std::fmt;
use std::str::FromStr;

use super::{ParseError, serde_as_text, serde_name};

/// A decimal number in text form, so that no digit is lost: `12.50` stays `12.50`.
///
/// Two are equal when their texts are. For arithmetic hand the text to a decimal library of your choice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal(String);

impl Decimal {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    /// Takes what the database already calls a decimal.
    pub(crate) fn trusted(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        Self(number.to_string())
    }
}

impl From<u64> for Decimal {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_decimal(text: &str) -> bool {
    if matches!(text, "NaN" | "Infinity" | "-Infinity") {
        return true;
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|e| !e.is_empty() && digits(e))
}

impl FromStr for Decimal {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if is_decimal(text) { Ok(Self(text.to_owned())) } else { Err(ParseError::new("a decimal number such as 12.50")) }
    }
}

serde_as_text!(Decimal, serde_name::DECIMAL, "a decimal number in a string, such as \"12.50\"");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_kept_and_nonsense_is_refused() {
        for text in ["0", "12.50", "-.5", "+1.", "1e10", "1.5E-3", "NaN", "-Infinity"] {
            assert_eq!(text.parse::<Decimal>().unwrap().as_str(), text);
        }
        for text in ["", ".", "-", "1,5", "1e", "0x1", "nan", "1.2.3", "1e1.5", " 1"] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
    }
}
