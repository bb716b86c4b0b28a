//! A session: dispatches the operations, and knows whether it may be used again.

use std::{sync::Arc, time::Duration};

use bson::raw::{RawArrayBuf, RawDocumentBuf, cstr};
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::{
    Shared,
    command::Body,
    connect::Sockets,
    error::{self, Stakes},
    link::{Kept, Link},
    transaction::{State, Transaction},
};
use crate::driver::{
    Answer, Connection, Failure, FailureKind, Operation, ResultLimit, Session, Source,
    documents::{Reply, Request},
};

/// One session with its server.
pub(super) struct MongodbConnection {
    pub(super) kept: Kept,
    pub(super) shared: Arc<Shared>,
    session: Session,
    sockets: Arc<Sockets>,
    pub(super) transaction: Transaction,
    /// When the operation that runs is to be done.
    pub(super) until: Instant,
    /// Something may still go on in the session.
    pub(super) in_doubt: bool,
    /// Nothing but closing is left.
    lost: bool,
}

fn lost() -> Failure {
    Failure::new(FailureKind::Disconnected, "the connection was lost").lost()
}

impl MongodbConnection {
    pub(super) fn new(kept: Kept, shared: Arc<Shared>, session: Session, sockets: Arc<Sockets>) -> Self {
        let (transaction, until) = (Transaction::default(), Instant::now());
        Self { kept, shared, session, sockets, transaction, until, in_doubt: false, lost: false }
    }

    /// Another socket than that of the session would be opened behind its back.
    fn must_be_whole(&self) -> Result<(), Failure> {
        if self.lost || self.sockets.have_changed() { Err(lost()) } else { Ok(()) }
    }

    async fn dispatch(&mut self, operation: Operation) -> Result<Answer, Failure> {
        match operation {
            Operation::Documents(request, limit) => self.request(*request, limit).await.map(Answer::Documents),
            Operation::Begin(begin) => self.begin(begin),
            Operation::Commit => self.commit().await,
            Operation::Rollback => self.rollback().await,
            Operation::OpenCursor(number, Source::Documents(query)) => {
                self.open_cursor(number, *query).await.map(|()| Answer::Done)
            }
            Operation::Fetch(number, limit) => self.fetch(number, limit).await.map(|batch| Answer::Documents(Reply::Next(batch))),
            Operation::CloseCursor(number) => self.close_cursor(Some(number)).await.map(|()| Answer::Done),
            Operation::Query(..)
            | Operation::Execute(_)
            | Operation::ExecuteMany(..)
            | Operation::Savepoint(_)
            | Operation::RollbackTo(_)
            | Operation::Release(_)
            | Operation::OpenCursor(..) => Err(Failure::foreign()),
        }
    }

    async fn request(&mut self, request: Request, limit: ResultLimit) -> Result<Reply, Failure> {
        self.must_not_be_aborted()?;
        Ok(match request {
            Request::ListCollections(filter) => Reply::Batch(self.list_collections(filter.as_ref(), limit).await?),
            Request::Find(collection, find) => Reply::Batch(self.find(&collection, &find, limit).await?),
            Request::FindOne(collection, find) => Reply::Document(self.find_one(&collection, &find, limit).await?),
            Request::Aggregate(collection, aggregate) => Reply::Batch(self.aggregate(&collection, &aggregate, limit).await?),
            Request::Count(collection, count) => Reply::Count(self.count(&collection, &count).await?),
            Request::EstimatedCount(collection) => Reply::Count(self.estimated_count(&collection).await?),
            Request::Distinct(collection, distinct) => Reply::Document(Some(self.distinct(&collection, &distinct, limit).await?)),
            Request::Insert(collection, insert) => Reply::Written(self.insert(&collection, &insert).await?),
            Request::Update(collection, writes)
            | Request::Replace(collection, writes)
            | Request::Delete(collection, writes)
            | Request::BulkWrite(collection, writes) => Reply::Written(self.write(&collection, &writes).await?),
            Request::FindAndModify(collection, modify) => {
                Reply::Document(self.find_and_modify(&collection, &modify, limit).await?)
            }
            Request::CreateIndexes(collection, indexes) => Reply::Names(self.create_indexes(&collection, &indexes).await?),
            Request::DropIndex(collection, name) => {
                self.drop_index(&collection, &name).await?;
                Reply::Done
            }
            Request::ListIndexes(collection) => Reply::Batch(self.list_indexes(&collection, limit).await?),
        })
    }

    /// A session keeps nothing but cursors and a transaction: without them it is as it was.
    async fn take_back(&mut self) -> Result<(), Failure> {
        self.must_be_whole()?;
        self.rollback().await?;
        if self.in_doubt {
            return Err(Failure::new(FailureKind::Database, "a commit may still go on in the session"));
        }
        Ok(())
    }

    /// Ends what is open, and the session, over the socket that there is.
    async fn good_bye(&mut self) -> Result<(), Failure> {
        self.must_be_whole()?;
        self.rollback().await?;
        let Link { admin, session, .. } = self.kept.get()?;
        let sessions: RawArrayBuf = RawDocumentBuf::try_from(session.id()).into_iter().collect();
        let end = Body::of(cstr!("endSessions"), sessions).into_raw();
        let ended = admin.run_raw_command(end).session(session).await;
        ended.map(drop).map_err(|error| error::failure(&error, Stakes::Nothing))
    }
}

impl Connection for MongodbConnection {
    fn session(&self) -> &Session {
        &self.session
    }

    fn run(&mut self, operation: Operation) -> BoxFuture<'_, Result<Answer, Failure>> {
        let left = self.shared.settings.statement_timeout;
        self.run_within(operation, left)
    }

    fn run_within(&mut self, operation: Operation, left: Duration) -> BoxFuture<'_, Result<Answer, Failure>> {
        Box::pin(async move {
            self.must_be_whole()?;
            self.until = Instant::now() + left;
            let result = self.dispatch(operation).await;
            if let Err(failure) = &result {
                self.lost |= failure.lost;
                // Only the server sends codes, and whatever it refuses ends the transaction.
                if failure.code.is_some() {
                    self.transaction.abort();
                }
            }
            result
        })
    }

    fn needs_reset(&self) -> bool {
        self.in_doubt || self.must_be_whole().is_err() || self.transaction.state != State::None || self.kept.has_cursors()
    }

    fn reset(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let result = self.take_back().await;
            // A session that was not proven clean is never used again.
            self.lost |= result.is_err();
            result
        })
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            self.must_be_whole()?;
            let ping = Body::of(cstr!("ping"), 1).into_raw();
            let Link { admin, session, .. } = self.kept.get()?;
            let result = admin.run_raw_command(ping).session(session).await;
            self.lost |= result.is_err();
            result.map(drop).map_err(|error| error::failure(&error, Stakes::Nothing))
        })
    }

    fn close(mut self: Box<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(async move {
            // What was lost says nothing more; the server is asked whether it has noticed.
            let said = match self.must_be_whole() {
                Ok(()) => self.good_bye().await,
                Err(_) => Ok(()),
            };
            let Self { kept, .. } = *self;
            kept.close().await;
            said
        })
    }
}
