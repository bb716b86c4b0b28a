//! What fairness is tried on: the scripted driver, and MongoDB's own on the stand-in for its server.

use std::{sync::Arc, time::Duration};

use support::{
    scripted::{Behaviour, Event, Script, Step},
    wire::Wire,
};
use tokio::time::timeout;
use wharf::{
    driver::{
        Driver, Operation, ResultLimit, Statement,
        documents::{Collection, Insert, Request, types::InsertOptions},
        mongodb::Mongodb,
        settings::Settings,
    },
    pool::PoolSpec,
};

const LIMIT: ResultLimit = ResultLimit { rows: 10, bytes: 1000 };

/// A server that counts the sessions of pools, and on which closing one can be held up.
pub(super) enum Server {
    Scripted(Script),
    StandIn(Wire),
}

impl Server {
    pub(super) fn scripted() -> Self {
        Self::Scripted(Script::new())
    }

    pub(super) fn stand_in() -> Self {
        let wire = Wire::start_forgetful();
        // Each session is a client of a name of its own; those of control paths begin otherwise.
        wire.count_clients("wharf app ");
        Self::StandIn(wire)
    }

    /// A pool with a credential of its own.
    pub(super) fn pool(&self) -> PoolSpec {
        let driver: Arc<dyn Driver> = match self {
            Self::Scripted(script) => Arc::new(script.clone()),
            Self::StandIn(wire) => Arc::new(Mongodb::new(&wire.url("app"), Settings::default()).unwrap()),
        };
        PoolSpec { driver, shares_control_of: None }
    }

    /// What a borrower does.
    pub(super) fn operation(&self) -> Operation {
        match self {
            Self::Scripted(_) => Operation::Query(Statement { sql: "SELECT 1".into(), params: Vec::new() }, LIMIT),
            Self::StandIn(_) => {
                // A document without a field.
                let insert = Insert::new(&[5, 0, 0, 0, 0], InsertOptions { ordered: true, write_concern: None }).unwrap();
                let request = Request::Insert(Collection::new("notes").unwrap(), insert);
                Operation::Documents(Box::new(request), LIMIT)
            }
        }
    }

    /// The most sessions that it has listed at a time.
    pub(super) fn peak(&self) -> usize {
        match self {
            Self::Scripted(script) => script.peak(),
            Self::StandIn(wire) => wire.most_clients(),
        }
    }

    /// A session that says good-bye next waits for its answer until [`Server::answer_good_bye`].
    pub(super) fn hold_up_good_bye(&self) {
        match self {
            Self::Scripted(script) => script.once(Step::Close, Behaviour::Slow),
            Self::StandIn(wire) => wire.block("endSessions"),
        }
    }

    /// Waits until one has said good-bye and is not answered.
    pub(super) async fn until_good_bye(&self, bound: Duration) {
        match self {
            Self::Scripted(script) => {
                let is_closing = |events: &[Event]| {
                    let begun = events.iter().filter(|event| matches!(event, Event::Began(Step::Close, _))).count();
                    let ended = events.iter().filter(|event| matches!(event, Event::Ended(Step::Close, ..))).count();
                    begun > ended
                };
                timeout(bound, script.until(is_closing)).await.unwrap();
            }
            Self::StandIn(wire) => {
                wire.until("a good-bye", bound, |wire| (wire.waiting() == ["endSessions"]).then_some(())).await;
            }
        }
    }

    pub(super) fn answer_good_bye(&self) {
        match self {
            Self::Scripted(script) => script.release(Step::Close),
            Self::StandIn(wire) => wire.release(),
        }
    }
}
