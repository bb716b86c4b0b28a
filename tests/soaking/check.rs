//! Whether what came of a call is what is promised.

use bytes::Bytes;
use serde_json::Value as Json;

use crate::kinds::Expected;

/// What a client heard.
#[derive(Debug)]
pub(crate) enum Heard {
    /// An answer from beginning to end.
    Whole { status: u16, body: Bytes },
    /// Headers, and then a body that was cut off.
    Cut { status: u16, why: String },
    /// The beginning of an answer; the client went away then.
    Begun { status: u16 },
    /// Nothing; the client went away.
    Nothing,
    /// No answer, although the client waited.
    Lost(String),
}

/// What to think of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    AsExpected,
    /// Something was full, and the host said so in the way that is promised for that: which limit.
    Refused(&'static str),
    Unexpected(String),
}

/// As long as a shown answer may be.
const SHOWN: usize = 400;

/// Compares; `sent` is the body of the request.
pub(crate) fn check(expected: &Expected, sent: &[u8], heard: &Heard) -> Verdict {
    if is_expected(expected, sent, heard) {
        return Verdict::AsExpected;
    }
    match heard {
        Heard::Whole { status: 503, body } if code(body).as_deref() == Some("overloaded") => Verdict::Refused("overloaded"),
        // As a handler tells it that was promised an answer of JSON.
        Heard::Whole { status: 200, body } if contains(body, b"\"kind\":\"pool-exhausted\"") => {
            Verdict::Refused("pool-exhausted")
        }
        _ => Verdict::Unexpected(shown(heard)),
    }
}

fn is_expected(expected: &Expected, sent: &[u8], heard: &Heard) -> bool {
    match (expected, heard) {
        (Expected::Text(text), Heard::Whole { status: 200, body }) => body == text.as_bytes(),
        (Expected::TextInTime(text), Heard::Whole { status: 200, body }) => body == text.as_bytes(),
        (Expected::TextInTime(_), Heard::Whole { status: 504, body }) => code(body).as_deref() == Some("deadline-exceeded"),
        (Expected::Json(satisfied), Heard::Whole { status: 200, body }) => {
            serde_json::from_slice(body).is_ok_and(|json: Json| satisfied(&json))
        }
        (Expected::Echo, Heard::Whole { status: 200, body }) => body == sent,
        (Expected::Problem(promised, name), Heard::Whole { status, body }) => {
            status == promised && code(body).as_deref() == Some(name)
        }
        (Expected::Cut, Heard::Cut { .. } | Heard::Lost(_)) => true,
        // If the host found out in time.
        (Expected::Cut, Heard::Whole { status: 500, body }) => code(body).is_some(),
        (Expected::Begun, Heard::Begun { status }) => *status == 200,
        (Expected::Nothing, Heard::Nothing) => true,
        _ => false,
    }
}

/// The code of a problem document.
fn code(body: &[u8]) -> Option<String> {
    let json: Json = serde_json::from_slice(body).ok()?;
    json["code"].as_str().map(str::to_owned)
}

fn contains(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

fn shown(heard: &Heard) -> String {
    let text = match heard {
        Heard::Whole { status, body } => format!("{status} {}", String::from_utf8_lossy(body)),
        Heard::Cut { status, why } => format!("{status}, cut off: {why}"),
        Heard::Begun { status } => format!("{status}, and some of the body"),
        Heard::Nothing => "nothing".to_owned(),
        Heard::Lost(why) => format!("no answer: {why}"),
    };
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(status: u16, body: &str) -> Heard {
        Heard::Whole { status, body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    fn is_unexpected(expected: &Expected, heard: &Heard) -> bool {
        matches!(check(expected, b"sent", heard), Verdict::Unexpected(_))
    }

    #[test]
    fn what_is_promised_is_as_expected() {
        let satisfied = |json: &Json| json["held"] == 3;
        for (expected, heard) in [
            (Expected::Text("leaked"), whole(200, "leaked")),
            (Expected::Json(satisfied), whole(200, "{\"held\":3}")),
            (Expected::TextInTime("abandoned"), whole(200, "abandoned")),
            (Expected::TextInTime("abandoned"), whole(504, "{\"code\":\"deadline-exceeded\"}")),
            (Expected::Echo, whole(200, "sent")),
            (Expected::Problem(500, "handler-trapped"), whole(500, "{\"code\":\"handler-trapped\"}")),
            (Expected::Cut, Heard::Cut { status: 200, why: "reset".to_owned() }),
            (Expected::Cut, whole(500, "{\"code\":\"invalid-response\"}")),
            (Expected::Begun, Heard::Begun { status: 200 }),
            (Expected::Nothing, Heard::Nothing),
        ] {
            assert_eq!(check(&expected, b"sent", &heard), Verdict::AsExpected, "{expected:?}");
        }
    }

    #[test]
    fn anything_else_is_unexpected() {
        let satisfied = |json: &Json| json["held"] == 3;
        for (expected, heard) in [
            (Expected::Text("leaked"), whole(200, "leake")),
            (Expected::Text("leaked"), whole(500, "leaked")),
            (Expected::Text("leaked"), Heard::Lost("reset".to_owned())),
            (Expected::Json(satisfied), whole(200, "{\"held\":2}")),
            (Expected::Json(satisfied), whole(200, "no JSON")),
            (Expected::TextInTime("abandoned"), whole(500, "{\"code\":\"deadline-exceeded\"}")),
            (Expected::TextInTime("abandoned"), whole(504, "{\"code\":\"overloaded\"}")),
            (Expected::Echo, whole(200, "sen")),
            (Expected::Problem(500, "handler-trapped"), whole(200, "{\"code\":\"handler-trapped\"}")),
            (Expected::Problem(500, "handler-trapped"), whole(500, "{\"code\":\"host-panicked\"}")),
            (Expected::Problem(504, "deadline-exceeded"), Heard::Cut { status: 200, why: "reset".to_owned() }),
            (Expected::Cut, whole(200, "short")),
            (Expected::Begun, whole(500, "{\"code\":\"handler-trapped\"}")),
            (Expected::Nothing, whole(200, "awake")),
        ] {
            assert!(is_unexpected(&expected, &heard), "{expected:?} {heard:?}");
        }
    }

    #[test]
    fn a_refusal_is_neither() {
        let expected = Expected::Text("leaked");
        assert_eq!(check(&expected, b"", &whole(503, "{\"code\":\"overloaded\"}")), Verdict::Refused("overloaded"));
        let exhausted = whole(200, "[{\"error\":{\"code\":null,\"kind\":\"pool-exhausted\"}}]");
        assert_eq!(check(&Expected::Json(|_| false), b"", &exhausted), Verdict::Refused("pool-exhausted"));
        assert!(is_unexpected(&expected, &whole(503, "{\"code\":\"shutting-down\"}")));
    }
}
