//! A span: what happened when, for how long, as part of what.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::{Context, Tracer};

/// Bytes of one attribute.
const MAX_TEXT: usize = 256;
/// Attributes, and events, of one span.
const MAX_FACTS: usize = 32;

/// What a span stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Work of the host.
    Internal,
    /// A request that the host answers.
    Server,
    /// A question to a database.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text; what is longer than 256 bytes is cut.
    Text(String),
    /// A whole number.
    Number(i64),
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// The place in a trace that spans are added below: that of a call whose spans are kept.
#[derive(Clone)]
pub struct Trace {
    tracer: Arc<Tracer>,
    context: Context,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trace").field(&self.context).finish()
    }
}

impl Trace {
    pub(super) fn new(tracer: &Arc<Tracer>, context: Context) -> Self {
        Self { tracer: Arc::clone(tracer), context }
    }

    /// Begins a span below this one, which began so long ago.
    #[must_use]
    pub fn span(&self, name: impl Into<String>, kind: Kind, ago: Duration) -> Span {
        let below = Self { context: self.context.child(), ..self.clone() };
        Span::new(below, Some(self.context.span_id), name.into(), kind, ago)
    }
}

/// A span that has not ended. It ends when it is dropped, whoever drops it.
#[derive(Debug)]
pub struct Span {
    trace: Trace,
    begun: Instant,
    record: Option<Box<Record>>,
}

/// What is told of a span.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) context: Context,
    pub(super) parent: Option<u64>,
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Since the epoch of Unix, as all times here.
    pub(super) start: Duration,
    pub(super) end: Duration,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) events: Vec<(&'static str, Duration)>,
    /// Why it failed, if it did.
    pub(super) failure: Option<Cow<'static, str>>,
}

impl Span {
    pub(super) fn new(trace: Trace, parent: Option<u64>, name: String, kind: Kind, ago: Duration) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let start = now.saturating_sub(ago);
        let (attributes, events) = (Vec::with_capacity(8), Vec::new());
        let context = trace.context;
        let record = Record { context, parent, name, kind, start, end: now, attributes, events, failure: None };
        Self { trace, begun: Instant::now(), record: Some(Box::new(record)) }
    }

    /// Its place, for spans below it.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.trace.clone()
    }

    /// Names it. What names have in common is what is looked for, so nothing that a client chose belongs in it.
    pub fn rename(&mut self, name: String) {
        if let Some(record) = &mut self.record {
            record.name = name;
        }
    }

    /// Adds a fact.
    pub fn add(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(record) = self.record.as_mut().filter(|record| record.attributes.len() < MAX_FACTS) {
            record.attributes.push((key, value.into().cut()));
        }
    }

    /// Adds what has just been done.
    pub fn event(&mut self, name: &'static str) {
        // As long after its beginning as the clock that never goes back says.
        let passed = self.begun.elapsed();
        if let Some(record) = self.record.as_mut().filter(|record| record.events.len() < MAX_FACTS) {
            let at = record.end + passed;
            record.events.push((name, at));
        }
    }

    /// Says that it failed, and in one word why. The first word stays.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) {
        if let Some(record) = self.record.as_mut().filter(|record| record.failure.is_none()) {
            record.failure = Some(why.into());
        }
    }

    /// Nobody is to hear of it.
    pub fn discard(mut self) {
        self.record = None;
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.end += self.begun.elapsed();
            self.trace.tracer.keep(*record);
        }
    }
}

impl Value {
    fn cut(self) -> Self {
        match self {
            Self::Text(mut text) if text.len() > MAX_TEXT => {
                text.truncate(text.floor_char_boundary(MAX_TEXT - '…'.len_utf8()));
                text.push('…');
                Self::Text(text)
            }
            fits => fits,
        }
    }
}

/// The span of a call, to which several parts of the host add. It ends when none of them has it any more.
#[derive(Clone, Debug)]
pub struct CallSpan(Arc<Mutex<Span>>);

impl CallSpan {
    /// Of a span that nobody else has yet.
    #[must_use]
    pub fn new(span: Span) -> Self {
        Self(Arc::new(Mutex::new(span)))
    }

    /// Its place, for spans below it.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.span().trace()
    }

    /// Adds to it.
    pub fn edit(&self, edit: impl FnOnce(&mut Span)) {
        edit(&mut self.span());
    }

    fn span(&self) -> MutexGuard<'_, Span> {
        // A fact too few leaves it as good as any.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
