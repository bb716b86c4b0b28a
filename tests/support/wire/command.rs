//! A command, as far as this server looks at it.

use std::time::Duration;

use bson::{
    RawBsonRef, RawDocument,
    raw::{RawElement, RawIter},
};

/// The bytes of a session's UUID.
pub(crate) type SessionId = [u8; 16];

/// What a client wants.
pub(crate) struct Command<'a> {
    /// The first name in it.
    pub(crate) name: &'a str,
    /// All of it.
    pub(crate) body: &'a RawDocument,
    /// `maxTimeMS`.
    pub(crate) max_time: Option<Duration>,
    /// `lsid`.
    pub(crate) session: Option<SessionId>,
    /// `txnNumber`, for part of a transaction.
    pub(crate) transaction: Option<i64>,
    /// `startTransaction`.
    pub(crate) starts: bool,
}

impl<'a> Command<'a> {
    /// Reads what is said at the top; `None` for what is no BSON there.
    pub(crate) fn parse(body: &'a RawDocument) -> Option<Self> {
        let mut elements: RawIter<'a> = body.iter_elements();
        let name = elements.next()?.ok()?.key().as_str();
        let mut command = Self { name, body, max_time: None, session: None, transaction: None, starts: false };
        let (mut number, mut autocommit) = (None, true);
        for element in elements {
            let element: RawElement<'a> = element.ok()?;
            match element.key().as_str() {
                "maxTimeMS" => command.max_time = milliseconds(element.value().ok()?),
                "lsid" => command.session = element.value().ok()?.as_document().and_then(session),
                "txnNumber" => number = integer(element.value().ok()?),
                "autocommit" => autocommit = element.value().ok()?.as_bool()?,
                "startTransaction" => command.starts = element.value().ok()?.as_bool()?,
                _ => {}
            }
        }
        // A write that may be tried again has a number as well.
        command.transaction = number.filter(|_| !autocommit);
        Some(command)
    }

    /// What has this name at the top.
    pub(crate) fn get(&self, name: &str) -> Option<RawBsonRef<'a>> {
        self.body.get(name).ok().flatten()
    }

    /// The time for that a client lets a question for news lie (`maxAwaitTimeMS`), if it says what it knows.
    pub(crate) fn awaits(&self) -> Option<Duration> {
        self.get("topologyVersion")?;
        milliseconds(self.get("maxAwaitTimeMS")?)
    }

    /// The integers in the array of this name.
    pub(crate) fn integers(&self, name: &str) -> Vec<i64> {
        self.array(name).filter_map(integer).collect()
    }

    /// The sessions that the array of the command's own name lists, itself or as patterns.
    pub(crate) fn sessions(&self) -> Vec<SessionId> {
        let listed = self.array(self.name).filter_map(RawBsonRef::as_document);
        listed.filter_map(|listed| session(listed.get_document("lsid").unwrap_or(listed))).collect()
    }

    /// Whether the first stage of a pipeline has this name.
    pub(crate) fn begins_with(&self, stage: &str) -> bool {
        let first = self.array("pipeline").next().and_then(RawBsonRef::as_document);
        first.is_some_and(|first| matches!(first.get(stage), Ok(Some(_))))
    }

    fn array(&self, name: &str) -> impl Iterator<Item = RawBsonRef<'a>> + use<'a> {
        self.get(name).and_then(RawBsonRef::as_array).into_iter().flatten().filter_map(Result::ok)
    }
}

/// A whole number, whichever type it comes as.
pub(crate) fn integer(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(value) => Some(value.into()),
        RawBsonRef::Int64(value) => Some(value),
        RawBsonRef::Double(value) => Some(value as i64),
        _ => None,
    }
}

/// Without a limit if it is 0.
fn milliseconds(value: RawBsonRef<'_>) -> Option<Duration> {
    let milliseconds = u64::try_from(integer(value)?).ok()?;
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}

fn session(listed: &RawDocument) -> Option<SessionId> {
    listed.get_binary("id").ok()?.bytes.try_into().ok()
}
