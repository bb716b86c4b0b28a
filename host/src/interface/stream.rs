//! A cursor's batches as a stream of the guest's.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::future::BoxFuture;
use tokio::sync::oneshot;
use wasmtime::{
    StoreContextMut,
    component::{Access, Destination, FutureReader, Lift, Lower, StreamProducer, StreamReader, StreamResult},
};

use super::{Answer, Handles};
use crate::lease;

/// The next batch, while it is on its way.
pub(super) type Fetching<B> = BoxFuture<'static, Result<Option<B>, lease::Error>>;

/// A cursor of either vocabulary. Its names are others than those of the cursors' own functions, which would hide them.
pub(super) trait Batched: Send + Sync + 'static {
    /// What it reads at a time.
    type Batch: Lower + Lift + Send + Sync + 'static;

    /// Marks the batches as taken by a stream; an error the second time.
    fn claim(&self) -> Result<(), lease::Error>;

    /// The next batch, none after the last.
    fn fetch(cursor: Arc<Self>, max: u32) -> Fetching<Self::Batch>;

    /// Closes the cursor without waiting.
    fn stop(&self);
}

/// The batches that are left, and how it ended.
pub(super) type Streamed<B, E> = (StreamReader<B>, FutureReader<Result<(), E>>);

/// Hands the rest of a cursor to the guest, so much at a time.
pub(super) fn batches<T, C, E>(mut host: Access<'_, T, Handles>, cursor: Arc<C>, max: u32) -> Answer<Streamed<C::Batch, E>, E>
where
    T: 'static,
    C: Batched,
    E: From<lease::Error> + Lower + Lift + Send + Sync + 'static,
{
    if let Err(error) = cursor.claim() {
        return Ok(Err(error.into()));
    }
    let (outcome, outcome_reader) = oneshot::channel::<Result<(), E>>();
    let producer = Batches { cursor, max, fetching: None, outcome: Some(outcome) };
    let stream = StreamReader::new(&mut host, producer)?;
    // A stream that was dropped before its end was not read to the end, but nothing failed either.
    let outcome = FutureReader::new(&mut host, async move { wasmtime::error::Ok(outcome_reader.await.unwrap_or(Ok(()))) })?;
    Ok(Ok((stream, outcome)))
}

/// Feeds a stream from a cursor, a batch a read.
struct Batches<C: Batched, E> {
    cursor: Arc<C>,
    max: u32,
    fetching: Option<Fetching<C::Batch>>,
    /// Told once, at the end of the stream.
    outcome: Option<oneshot::Sender<Result<(), E>>>,
}

impl<D, C, E> StreamProducer<D> for Batches<C, E>
where
    C: Batched,
    E: From<lease::Error> + Send + 'static,
{
    type Item = C::Batch;
    type Buffer = Option<C::Batch>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        _store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = self.get_mut();
        let (cursor, max) = (&this.cursor, this.max);
        let fetching = this.fetching.get_or_insert_with(|| C::fetch(Arc::clone(cursor), max));
        let polled = fetching.as_mut().poll(context);
        if polled.is_pending() && finish {
            return Poll::Ready(Ok(StreamResult::Cancelled));
        }
        let fetched = ready!(polled);
        this.fetching = None;
        let outcome = match fetched {
            Ok(Some(batch)) => {
                destination.set_buffer(Some(batch));
                return Poll::Ready(Ok(StreamResult::Completed));
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error.into()),
        };
        if let Some(sender) = this.outcome.take() {
            // The guest may not care how it ended.
            let _ = sender.send(outcome);
        }
        Poll::Ready(Ok(StreamResult::Dropped))
    }
}

impl<C: Batched, E> Drop for Batches<C, E> {
    fn drop(&mut self) {
        self.cursor.stop();
    }
}
