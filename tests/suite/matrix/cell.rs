//! One cell: a call is brought into a state, its database made to misbehave, the exit taken, and all that was promised looked at.

use std::time::Duration;

use support::proxy::Proxy;
use tokio::time::Instant;
use wharf::pool::{Counter, End, Ended};

use super::{
    axes::{Cell, Exit, Peer, State},
    bed::{Bed, Call},
    ground::Ground,
};

/// Longer than reaching any state, or noticing any exit, takes on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// How much later each chunk of a slow peer is.
const LATE: Duration = Duration::from_millis(10);

/// What a host needs, besides its bounds, to find out that a peer speaks again: the longest pause between two of its attempts.
const ATTEMPTS: Duration = Duration::from_secs(2);

/// How long it took until all capacity was free, or what was wrong.
pub(super) async fn run(cell: Cell, ground: &Ground) -> Result<Duration, String> {
    let proxy = ground.proxy().await;
    if let (Some(proxy), Peer::Slow) = (&proxy, cell.peer) {
        proxy.slow(LATE);
    }
    let bed = Bed::start(cell, ground, proxy.as_ref()).await?;
    let mut at = Stage { cell, ground, proxy: proxy.as_ref(), bed, hoard: None, locked: false };
    let call = at.reach().await?;
    at.fault().await;
    at.exit(call).await?;
    let free_after = at.end().await?;
    ground.sweep().await?;
    Ok(free_after)
}

/// What a cell plays on.
struct Stage<'a> {
    cell: Cell,
    ground: &'a Ground,
    proxy: Option<&'a Proxy>,
    bed: Bed,
    /// Has what an acquiring call waits for.
    hoard: Option<Call>,
    /// The test's own connection is the writer.
    locked: bool,
}

impl Stage<'_> {
    /// A call in the state of the cell, as the pool and the server see it.
    async fn reach(&mut self) -> Result<Call, String> {
        let Cell { engine, state, .. } = self.cell;
        let residues = self.cell.residue().lines().count() as u64;
        if state == State::Acquiring {
            self.hoard = Some(self.bed.hoard());
            self.until("the hoarder has all", has_arrived).await?;
        }
        self.ground.prepare(state);
        if state.is_held() {
            match self.proxy {
                Some(proxy) => proxy.hold_answer_to(self.cell.scheme().held),
                None => self.lock().await,
            }
        }
        let call = self.bed.call();
        let arrived = |bed: &Bed| match state {
            _ if call.is_over() => Err("the call is over".to_owned()),
            State::Acquiring => Ok(()),
            state if state.is_in_flight() => has_begun(bed, residues + state.operations()),
            _ => has_arrived(bed),
        };
        self.until("the guest is where it was to go", arrived).await?;
        match state {
            State::Acquiring => {
                let waits = |bed: &Bed| if bed.database.waiters() == 1 { Ok(()) } else { Err(format!("{:?}", bed.counts()?)) };
                self.until("a waiter", waits).await?;
            }
            state if state.is_held() && engine.is_a_server() => {
                if let Some(proxy) = self.proxy {
                    proxy.held(SOON).await;
                }
            }
            _ => {}
        }
        let started = Instant::now();
        while let Err(seen) = self.ground.sees(state).await {
            self.pulse(started, "the server sees the state", &seen).await?;
        }
        if call.is_over() {
            return Err(format!("the call was over before its exit: {:?}", call.answer().await));
        }
        Ok(call)
    }

    /// Makes the database misbehave.
    async fn fault(&mut self) {
        match (self.cell.peer, self.proxy) {
            (Peer::Healthy, _) | (Peer::Slow, Some(_)) => {}
            (Peer::Slow, None) => self.lock().await,
            (Peer::Silent, Some(proxy)) => proxy.silence_slots(),
            (Peer::SilentToo, Some(proxy)) => proxy.silence_all(),
            (Peer::Killed, proxy) => self.ground.kill(proxy).await,
            (Peer::Silent | Peer::SilentToo, None) => panic!("there is no such cell"),
        }
    }

    /// Takes the exit, and sees that it was this one.
    async fn exit(&mut self, mut call: Call) -> Result<(), String> {
        let exit = self.cell.exit;
        if exit.is_of_the_guest() {
            call.tell_to_leave();
        }
        if exit == Exit::Cancelled {
            self.bed.cancel()?;
        }
        match exit.answer() {
            Some((status, code)) => {
                let reply = call.answer().await?;
                let (seen, problem) = if status == 200 { (reply.status.as_u16(), String::new()) } else { reply.problem() };
                if (seen, problem.as_str()) != (status, code) {
                    return Err(format!("the call was to end as {status} {code}, and was answered {reply:?}"));
                }
            }
            None if exit == Exit::Shutdown => {
                self.bed.tell_to_stop();
                // Whatever is answered, or not, to a call that is cut off.
                let cut = |_: &Bed| if call.is_over() { Ok(()) } else { Err("it runs".to_owned()) };
                self.until("the call is cut off", cut).await?;
            }
            None => drop(call),
        }
        self.let_go().await
    }

    /// Once the host has noticed, takes away what kept the call in its state: a peer that is healthy answers then.
    async fn let_go(&mut self) -> Result<(), String> {
        let Cell { state, exit, .. } = self.cell;
        if state == State::Acquiring {
            let left = |bed: &Bed| if bed.database.waiters() == 0 { Ok(()) } else { Err("it waits".to_owned()) };
            self.until("the waiter leaves", left).await?;
            if let Some(mut hoard) = self.hoard.take() {
                hoard.tell_to_leave();
                if exit != Exit::Shutdown {
                    hoard.answer().await?;
                }
            }
        } else {
            let taken = |bed: &Bed| match bed.counts()? {
                counts if counts.leased > 0 => Err(format!("{counts:?}")),
                _ => Ok(()),
            };
            self.until("the lease ends", taken).await?;
        }
        if let Some(proxy) = self.proxy {
            proxy.let_go();
        }
        if self.locked && self.cell.peer == Peer::Slow {
            self.until("the connection is back, or closed", is_back).await?;
        }
        if std::mem::take(&mut self.locked) {
            self.ground.unlock().await;
        }
        Ok(())
    }

    /// All that was promised, however the call ended. How long it took until all capacity was free.
    async fn end(mut self) -> Result<Duration, String> {
        let Cell { engine, peer, state, exit, .. } = self.cell;
        let may_have_committed = state == State::CommitInFlight;
        let started = Instant::now();
        let mut free_after = Duration::ZERO;
        if exit != Exit::Shutdown {
            let (mut since, mut within) = (started, self.bed.patience());
            if !self.cell.is_confirmed() {
                self.is_alarmed().await?;
                (since, within) = (Instant::now(), within + ATTEMPTS);
            } else {
                self.is_taken_back(since, within).await?;
            }
            // Before the next borrowers are let in, whose sessions may be discarded for what they ask.
            if engine.is_a_server() && state.is_interrupted() && self.bed.counted(Counter::Discarded) == 0 {
                return Err("a connection is used again although what it ran was interrupted: a late cancel would hit the next"
                    .to_owned());
            }
            free_after = self.bed.free(since, within).await?;
            // Whoever was asked to go may still be on its way.
            self.until_confirmed(true, may_have_committed).await?;
            if self.cell.is_confirmed() && self.bed.counted(Counter::Unconfirmed) > 0 {
                return Err("an alarm, although the server could be asked".to_owned());
            }
        }
        let stopped = self.bed.stop().await?;
        if exit == Exit::Shutdown {
            free_after = started.elapsed();
        }
        self.is_told()?;
        let left: u32 = stopped.closed.iter().map(|closed| closed.left.sessions).sum();
        let silent = exit == Exit::Shutdown && !self.cell.is_confirmed();
        match (left, silent) {
            (0, false) => {}
            (1.., true) if !stopped.is_clean() => {}
            _ => return Err(format!("at the end the host said {stopped:?}")),
        }
        if let (Some(proxy), true) = (self.proxy, silent) {
            if peer == Peer::Silent {
                self.until_idle().await?;
            }
            proxy.speak();
            // With control silent as well, nobody could say that it is over.
            if peer == Peer::SilentToo {
                self.ground.expire();
            }
        } else if let (true, Some(sessions)) = (engine.is_a_server(), self.ground.sessions().await)
            && sessions.pooled > 0
        {
            return Err(format!("the host said that nothing is left, and the server lists {sessions:?}"));
        }
        // The good-bye of the control connection is confirmed by nobody.
        self.until_confirmed(false, may_have_committed).await?;
        Ok(free_after)
    }

    /// What the call still had is told with how it ended, and with nothing else; whoever hoarded has returned.
    fn is_told(&self) -> Result<(), String> {
        let Cell { peer, state, exit, .. } = self.cell;
        let told: Vec<Ended> = self.bed.database.reclaimed().iter().map(|tally| tally.reason).collect();
        let end = Ended::CallEnded(self.cell.end());
        let is_known = |why: &Ended| match why {
            Ended::CallEnded(_) => *why == end || *why == Ended::CallEnded(End::Returned),
            _ => true,
        };
        // A peer that ends sessions may be faster, and so may the host that stops.
        let is_certain = peer == Peer::Healthy && state != State::Acquiring && exit != Exit::Shutdown;
        // A guest that works on comes to its end if it is answered before its deadline.
        let has_returned = self.cell.works_on() && told.contains(&Ended::CallEnded(End::Returned));
        let has_end = told.contains(&end) || has_returned;
        if !told.iter().all(is_known) || is_certain && !has_end {
            return Err(format!("the call ended as {end:?}, and its connections were taken back for {told:?}"));
        }
        Ok(())
    }

    /// Nothing is on its way back any more.
    async fn is_taken_back(&self, since: Instant, within: Duration) -> Result<(), String> {
        self.until("all connections are back, or closed", is_back).await?;
        if since.elapsed() > within {
            return Err(format!("reclaim took {:?}", since.elapsed()));
        }
        Ok(())
    }

    /// While nobody can confirm anything an alarm is raised, and the place stays taken.
    async fn is_alarmed(&mut self) -> Result<(), String> {
        let started = Instant::now();
        let alarmed = |bed: &Bed| match (bed.counted(Counter::Unconfirmed), bed.counts()?) {
            (1.., counts) if counts.unconfirmed > 0 => Ok(()),
            (_, counts) => Err(format!("{counts:?}")),
        };
        self.until("an alarm", alarmed).await?;
        if started.elapsed() > self.bed.patience() {
            return Err(format!("the alarm came after {:?} only", started.elapsed()));
        }
        // Only the connection cannot be seen to be gone.
        if self.cell.peer == Peer::Silent {
            self.until_idle().await?;
        }
        if let Some(proxy) = self.proxy {
            proxy.speak();
        }
        Ok(())
    }

    /// What ran, and what was open, is ended although the connection is silent.
    async fn until_idle(&self) -> Result<(), String> {
        let started = Instant::now();
        while let Err(busy) = self.ground.is_idle().await {
            self.pulse(started, "nothing goes on in a silent session", &busy).await?;
        }
        Ok(())
    }

    async fn until_confirmed(&self, open: bool, may_have_committed: bool) -> Result<(), String> {
        let started = Instant::now();
        while let Err(why) = self.ground.confirms(open, may_have_committed).await {
            self.pulse(started, "the server confirms it", &why).await?;
        }
        Ok(())
    }

    async fn lock(&mut self) {
        if !std::mem::replace(&mut self.locked, true) {
            self.ground.lock().await;
        }
    }

    async fn until(&self, what: &str, mut holds: impl FnMut(&Bed) -> Result<(), String>) -> Result<(), String> {
        let started = Instant::now();
        while let Err(why) = holds(&self.bed) {
            self.pulse(started, what, &why).await?;
        }
        Ok(())
    }

    async fn pulse(&self, started: Instant, what: &str, why: &str) -> Result<(), String> {
        self.bed.counts()?;
        if let Some(sessions) = self.ground.sessions().await
            && sessions.pooled > i64::from(super::bed::MAX)
        {
            return Err(format!("the server lists more sessions than there may be: {sessions:?}"));
        }
        if started.elapsed() > SOON {
            return Err(format!("waited {SOON:?} for: {what}; {why}"));
        }
        self.ground.pulse().await;
        Ok(())
    }
}

/// Whether nothing is on its way back, of a host that still takes anything back.
fn is_back(bed: &Bed) -> Result<(), String> {
    match bed.counts()? {
        counts if counts.reclaiming > 0 && !bed.has_stopped() => Err(format!("{counts:?}")),
        _ => Ok(()),
    }
}

/// Whether a guest says that it is where it was to go.
fn has_arrived(bed: &Bed) -> Result<(), String> {
    match bed.arrived() {
        0 => Err(format!("it is on its way, {:?}", bed.counts()?)),
        _ => Ok(()),
    }
}

/// Whether so many operations have begun.
fn has_begun(bed: &Bed, operations: u64) -> Result<(), String> {
    match bed.counted(Counter::Operations) {
        begun if begun >= operations => Ok(()),
        begun => Err(format!("{begun} of {operations} operations have begun, {:?}", bed.counts()?)),
    }
}
