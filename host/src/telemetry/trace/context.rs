//! Where a call belongs in a trace: `traceparent` of W3C Trace Context, read and written.

use std::fmt;

use http::HeaderValue;

/// Bytes of the header, as far as every version has them.
const LENGTH: usize = 55;

/// The bits of the flags that are known.
const SAMPLED: u8 = 1;
const RANDOM: u8 = 2;

/// One span of a trace, by the names that all parties have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The trace; never 0.
    pub trace_id: u128,
    /// The span; never 0.
    pub span_id: u64,
    flags: u8,
}

impl Context {
    /// Reads the header of any version but `ff`; `None` for what is none.
    #[must_use]
    pub fn parse(header: &[u8]) -> Option<Self> {
        let (known, rest) = header.split_at_checked(LENGTH)?;
        let mut fields = std::str::from_utf8(known).ok()?.split('-');
        let mut field = |digits: usize| {
            let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            fields.next().filter(|field| field.len() == digits && field.bytes().all(is_digit))
        };
        let (version, trace_id, span_id, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        // Later versions may say more, behind another dash.
        let is_whole = rest.is_empty() || (version != "00" && rest.starts_with(b"-"));
        if version == "ff" || !is_whole {
            return None;
        }
        Some(Self {
            trace_id: u128::from_str_radix(trace_id, 16).ok().filter(|id| *id != 0)?,
            span_id: u64::from_str_radix(span_id, 16).ok().filter(|id| *id != 0)?,
            flags: u8::from_str_radix(flags, 16).ok()? & (SAMPLED | RANDOM),
        })
    }

    /// The first span of a trace of its own, not sampled.
    #[must_use]
    pub fn first() -> Self {
        Self { trace_id: rand::random_range(1..=u128::MAX), span_id: span_id(), flags: RANDOM }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self { span_id: span_id(), ..self }
    }

    /// The same, sampled or not.
    #[must_use]
    pub fn sampled(self, is_sampled: bool) -> Self {
        Self { flags: (self.flags & !SAMPLED) | if is_sampled { SAMPLED } else { 0 }, ..self }
    }

    /// Whether its spans are kept.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    pub(super) fn flags(self) -> u8 {
        self.flags
    }

    /// The header.
    ///
    /// # Panics
    /// Never: digits and dashes make a header.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("digits and dashes")
    }
}

fn span_id() -> u64 {
    rand::random_range(1..=u64::MAX)
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, span_id, flags } = self;
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_header_is_read_as_it_is_written() {
        let context = Context::parse(WHOLE.as_bytes()).unwrap();
        assert_eq!(context.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((context.span_id, context.is_sampled()), (0xb7ad_6b71_6920_3331, true));
        assert_eq!(context.header(), WHOLE);
        let child = context.child().sampled(false);
        assert_eq!((child.trace_id, child.is_sampled()), (context.trace_id, false));
        assert_ne!(child.span_id, context.span_id);
    }

    #[test]
    fn what_the_standard_refuses_is_refused() {
        for wrong in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333g-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(Context::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff-more";
        let context = Context::parse(later.as_bytes()).unwrap();
        assert_eq!(context.to_string(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03");
        assert!(Context::parse(&later.as_bytes()[..LENGTH]).is_some());
    }

    #[test]
    fn what_is_made_is_what_can_be_read() {
        for _ in 0..100 {
            let first = Context::first();
            assert!(!first.is_sampled());
            for context in [first, first.child(), first.sampled(true)] {
                assert_eq!(Context::parse(context.header().as_bytes()), Some(context));
            }
        }
    }

    proptest! {
        /// Anything at all, and what looks much like one.
        #[test]
        fn what_is_read_is_whole(bytes in prop_oneof![
            any::<Vec<u8>>(),
            "[0-9a-fA-F]{0,3}-[0-9a-f]{31,33}-[0-9a-f]{15,17}-[0-9a-f]{2}(-.*)?".prop_map(String::into_bytes),
        ]) {
            if let Some(context) = Context::parse(&bytes) {
                prop_assert!(context.trace_id != 0 && context.span_id != 0);
                let told = context.to_string();
                prop_assert_eq!(&told.as_bytes()[3..53], &bytes[3..53]);
            }
        }

        #[test]
        fn one_wrong_byte_makes_it_none(at in 0..LENGTH, byte in any::<u8>()) {
            prop_assume!(!matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
            let mut bytes = WHOLE.as_bytes().to_vec();
            bytes[at] = byte;
            prop_assert_eq!(Context::parse(&bytes), None);
        }
    }
}
