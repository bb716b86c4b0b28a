//! What plugins may have of a database: grants, which come and go, and the shares in which their connections count.

use std::{sync::Arc, time::Duration};

use super::{Database, database::Inner, places::Places};

/// What a grant allows.
#[derive(Clone, Debug)]
pub struct Quota {
    /// Which pool its connections come from.
    pub pool: usize,
    /// Connections at most, those being reclaimed included.
    pub max_connections: u32,
    /// Connections that nobody else is lent, so that this many can always be had. All of a database together are at most its limit.
    pub reserved_connections: u32,
    /// How long a transaction may be open.
    pub max_transaction_time: Duration,
}

/// A plugin's right to connections of a database. When it is dropped, nothing is reserved for it any more.
#[derive(Debug)]
pub struct Granted {
    pub(super) database: Arc<Inner>,
    /// Its place among the grants, which is free once all that it was lent has come back as well.
    pub(super) number: usize,
}

impl Granted {
    pub(super) fn new(database: &Arc<Inner>, number: usize) -> Arc<Self> {
        Arc::new(Self { database: Arc::clone(database), number })
    }
}

/// What plugins have and may have by a share: a grant with its heirs, or one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareView {
    /// Connections at most.
    pub max: u32,
    /// Connections that can always be had.
    pub reserved: u32,
    /// Connections that it has, those being reclaimed included.
    pub leased: u32,
    /// Calls that wait for one.
    pub waiting: usize,
}

impl Granted {
    /// What it has and may have, together with those with whom it shares.
    #[must_use]
    pub fn share(&self) -> ShareView {
        let state = self.database.state();
        state.grants.view(self.number, |grant| state.queue.waiting(grant))
    }

    /// Whether what is reserved for it is kept back from others, as it is from the start. If not, it may have that much all the same where
    /// somebody else leaves it: so two configurations that are used for a while together reserve no more than one of them.
    pub fn keep_back(&self, is_kept: bool) {
        self.database.change(|state| state.grants.keep_back(self.number, is_kept));
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        self.database.change(|state| state.grants.forget(self.number));
    }
}

impl Database {
    /// Grants something of the database to one more plugin or, with `heir_of`, to the same one anew: what both are lent counts together,
    /// and while both are there the plugin may have what the more generous one allows.
    #[must_use]
    pub fn grant(&self, quota: Quota, heir_of: Option<&Granted>) -> Arc<Granted> {
        debug_assert!(heir_of.is_none_or(|it| Arc::ptr_eq(&it.database, &self.0)), "the grant of another database");
        let number = self.0.change(|state| {
            debug_assert!(state.pools.get(quota.pool).is_some(), "a pool that is over");
            state.grants.add(quota, heir_of.map(|it| it.number))
        });
        Granted::new(&self.0, number)
    }

    /// How many grants there are, those included that are dropped and have something lent still.
    #[must_use]
    pub fn grants(&self) -> usize {
        self.0.state().grants.len()
    }
}

/// One grant.
#[derive(Debug)]
struct Grant {
    quota: Quota,
    share: usize,
    /// Connections that it has, reclaim included.
    leased: u32,
    /// What it reserves is kept back from others.
    keeps_back: bool,
    /// Nobody can borrow over it any more.
    dropped: bool,
}

/// What a plugin has, over one grant and its heirs, and what it may have.
#[derive(Debug, Default)]
struct Share {
    leased: u32,
    max_connections: u32,
    reserved_connections: u32,
    /// As much of the reserve as is kept back from others.
    kept_back: u32,
}

impl Share {
    /// What is left of its reserve.
    fn unused(&self) -> u32 {
        self.reserved_connections.saturating_sub(self.leased)
    }

    /// What nobody else may have.
    fn withheld(&self) -> u32 {
        self.kept_back.saturating_sub(self.leased)
    }
}

/// The grants of a database.
#[derive(Debug, Default)]
pub(super) struct Grants {
    grants: Places<Grant>,
    shares: Places<Share>,
}

impl Grants {
    /// Adds a grant, with a share of its own or that of an earlier one; its number.
    pub(super) fn add(&mut self, quota: Quota, heir_of: Option<usize>) -> usize {
        let share = match heir_of {
            Some(earlier) => self.grants[earlier].share,
            None => self.shares.add(|_| Share::default()),
        };
        let number = self.grants.add(|_| Grant { quota, share, leased: 0, keeps_back: true, dropped: false });
        self.weigh(share);
        number
    }

    /// Frees what the grant reserves, and its place once it has nothing any more.
    pub(super) fn forget(&mut self, number: usize) {
        self.grants[number].dropped = true;
        self.clear(number);
    }

    /// Whether what the grant reserves is kept back from others.
    fn keep_back(&mut self, number: usize, is_kept: bool) {
        let grant = &mut self.grants[number];
        grant.keeps_back = is_kept;
        let share = grant.share;
        self.weigh(share);
    }

    /// Counts a connection that it is lent.
    pub(super) fn lend(&mut self, number: usize) {
        let grant = &mut self.grants[number];
        grant.leased += 1;
        self.shares[grant.share].leased += 1;
    }

    /// The connection has been reclaimed.
    pub(super) fn give_back(&mut self, number: usize) {
        let grant = &mut self.grants[number];
        grant.leased -= 1;
        self.shares[grant.share].leased -= 1;
        if grant.dropped {
            self.clear(number);
        }
    }

    /// Frees the place of a grant that is dropped, unless something of it is lent.
    fn clear(&mut self, number: usize) {
        let Grant { share, leased, .. } = self.grants[number];
        if leased == 0 {
            self.grants.remove(number);
        }
        self.weigh(share);
    }

    /// What a share may have is the most that any of its grants allows.
    fn weigh(&mut self, number: usize) {
        let mut of_share = self.grants.iter().map(|(_, grant)| grant).filter(|grant| grant.share == number).peekable();
        if of_share.peek().is_none() {
            self.shares.remove(number);
            return;
        }
        let mut most = Share { leased: self.shares[number].leased, ..Share::default() };
        for Grant { quota, keeps_back, .. } in of_share.filter(|grant| !grant.dropped) {
            let reserved = quota.reserved_connections;
            most.max_connections = quota.max_connections.max(most.max_connections);
            most.reserved_connections = reserved.max(most.reserved_connections);
            if *keeps_back {
                most.kept_back = reserved.max(most.kept_back);
            }
        }
        self.shares[number] = most;
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.grants.iter().count()
    }

    /// Whether any of them is for this pool.
    pub(super) fn has_pool(&self, pool: usize) -> bool {
        self.grants.iter().any(|(_, grant)| grant.quota.pool == pool)
    }

    fn view(&self, number: usize, waiting: impl Fn(usize) -> usize) -> ShareView {
        let number = self.grants[number].share;
        let Share { leased, max_connections: max, reserved_connections: reserved, .. } = self.shares[number];
        let waiting = self.grants.iter().filter(|(_, grant)| grant.share == number).map(|(grant, _)| waiting(grant)).sum();
        ShareView { max, reserved, leased, waiting }
    }

    pub(super) fn quota(&self, number: usize) -> &Quota {
        &self.grants[number].quota
    }

    /// How many of `max` connections a grant may have besides those that it has: what is left of its own reserve, and what no reserve
    /// needs.
    pub(super) fn allowance(&self, number: usize, max: u32) -> u32 {
        self.left_for(&self.shares[self.grants[number].share], max)
    }

    /// How many more connections those who wait for a pool could use.
    pub(super) fn demand(&self, pool: usize, max: u32, waiting: impl Fn(usize) -> usize) -> u32 {
        let of_share = |(number, share): (usize, &Share)| {
            let here = self.grants.iter().filter(|(_, grant)| grant.share == number && grant.quota.pool == pool);
            let waiting: usize = here.map(|(grant, _)| waiting(grant)).sum();
            if waiting == 0 { 0 } else { self.left_for(share, max).min(u32::try_from(waiting).unwrap_or(u32::MAX)) }
        };
        self.shares.iter().map(of_share).fold(0, u32::saturating_add)
    }

    fn left_for(&self, own: &Share, max: u32) -> u32 {
        let taken = self.shares.iter().map(|(_, share)| share.leased + share.withheld()).fold(0, u32::saturating_add);
        let most = own.unused().max(own.withheld() + max.saturating_sub(taken));
        most.min(own.max_connections.saturating_sub(own.leased))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit of the database.
    const MAX: u32 = 4;

    fn quota(max_connections: u32, reserved_connections: u32) -> Quota {
        Quota { pool: 0, max_connections, reserved_connections, max_transaction_time: Duration::from_secs(1) }
    }

    #[test]
    fn what_is_reserved_for_one_is_nobody_else_s_until_it_is_dropped() {
        let mut grants = Grants::default();
        let (one, other) = (grants.add(quota(4, 3), None), grants.add(quota(4, 0), None));
        assert_eq!((grants.allowance(one, MAX), grants.allowance(other, MAX)), (4, 1));
        grants.lend(one);
        assert_eq!((grants.allowance(one, MAX), grants.allowance(other, MAX)), (3, 1));
        grants.forget(one);
        assert_eq!((grants.allowance(other, MAX), grants.len()), (3, 2));
        grants.give_back(one);
        assert_eq!((grants.allowance(other, MAX), grants.len()), (4, 1));
    }

    #[test]
    fn a_grant_and_its_heir_count_together() {
        let mut grants = Grants::default();
        let (old, other) = (grants.add(quota(2, 2), None), grants.add(quota(4, 0), None));
        grants.lend(old);
        let heir = grants.add(quota(3, 1), Some(old));
        // Three at most and two of them reserved, while both are there.
        assert_eq!([old, heir, other].map(|grant| grants.allowance(grant, MAX)), [2, 2, 2]);
        grants.lend(heir);
        assert_eq!([old, heir, other].map(|grant| grants.allowance(grant, MAX)), [1, 1, 2]);
        grants.give_back(heir);
        grants.forget(old);
        // What the old one still has counts.
        assert_eq!([heir, other].map(|grant| grants.allowance(grant, MAX)), [2, 3]);
        grants.give_back(old);
        assert_eq!([heir, other].map(|grant| grants.allowance(grant, MAX)), [3, 3]);
    }

    #[test]
    fn less_than_there_was_is_allowed_once_the_more_generous_one_is_gone() {
        let mut grants = Grants::default();
        let old = grants.add(quota(4, 0), None);
        (0..3).for_each(|_| grants.lend(old));
        let heir = grants.add(quota(1, 0), Some(old));
        assert_eq!(grants.allowance(heir, MAX), 1);
        grants.forget(old);
        assert_eq!(grants.allowance(heir, MAX), 0);
        (0..3).for_each(|_| grants.give_back(old));
        assert_eq!(grants.allowance(heir, MAX), 1);
    }

    #[test]
    fn what_is_reserved_and_not_kept_back_is_everybody_s() {
        let mut grants = Grants::default();
        let (old, other) = (grants.add(quota(4, 3), None), grants.add(quota(4, 0), None));
        let (new, heir) = (grants.add(quota(4, 3), None), grants.add(quota(4, 0), Some(old)));
        assert_eq!([old, heir, other, new].map(|grant| grants.allowance(grant, MAX)), [3, 3, 0, 3]);
        grants.keep_back(old, false);
        assert_eq!([old, heir, other, new].map(|grant| grants.allowance(grant, MAX)), [3, 3, 1, 4]);
        grants.lend(other);
        assert_eq!([old, heir, other, new].map(|grant| grants.allowance(grant, MAX)), [3, 3, 0, 3]);
        grants.keep_back(new, false);
        grants.keep_back(old, true);
        assert_eq!([old, heir, other, new].map(|grant| grants.allowance(grant, MAX)), [3, 3, 0, 3]);
    }

    #[test]
    fn a_place_is_free_again_when_nothing_is_left_of_its_grant() {
        let mut grants = Grants::default();
        let one = grants.add(quota(2, 1), None);
        grants.lend(one);
        grants.forget(one);
        let other = grants.add(quota(2, 0), None);
        assert_ne!(one, other);
        grants.give_back(one);
        assert_eq!(grants.add(quota(4, 0), None), one);
        assert_eq!((grants.allowance(one, MAX), grants.allowance(other, MAX)), (4, 2));
    }
}
