//! Bytes in flight, bounded: reserved before an object is fetched, held by what
//! becomes of it, given back when its rows are committed.
//!
//! INVARIANT (in order): reservations are made in the order of the listing. The
//! committer needs objects in that order, so the object it waits for always has
//! its memory already, and the two can never wait for each other.
//!
//! INVARIANT (counted, never waited for): once an object was read, its
//! reservation says what it really takes, even if that overdraws the budget: the
//! memory is taken already, and waiting for it could wait for the committer, who
//! waits for this very object. Whoever reserves next waits until the debt is
//! paid. It stays small, because what is reserved covers all but odd objects, and
//! what one object may hold is capped.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A budget of bytes, shared by everything in flight.
#[derive(Clone)]
pub struct ByteBudget(Arc<Shared>);

struct Shared {
    used: Mutex<u64>,
    freed: Condvar,
    /// The same for tasks, which must not block their thread.
    freed_for_tasks: Notify,
    /// Tasks wait in the order in which they came, so that large ones get on.
    turn: tokio::sync::Mutex<()>,
    total: u64,
}

/// A piece of the budget; dropping it gives the bytes back.
pub struct Reservation {
    budget: ByteBudget,
    bytes: u64,
}

impl ByteBudget {
    pub fn new(total: u64) -> ByteBudget {
        ByteBudget(Arc::new(Shared {
            used: Mutex::new(0),
            freed: Condvar::new(),
            freed_for_tasks: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
            total,
        }))
    }

    pub fn total(&self) -> u64 {
        self.0.total
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        // A poisoned lock guards one number, which is right at any instant.
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `bytes` (at most the whole budget) are free, and takes them.
    pub fn reserve(&self, bytes: u64) -> Reservation {
        let bytes = bytes.min(self.0.total);
        let mut used = self.lock();
        while used.saturating_add(bytes) > self.0.total {
            used = self
                .0
                .freed
                .wait(used)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *used += bytes;
        Reservation {
            budget: self.clone(),
            bytes,
        }
    }
}

impl ByteBudget {
    /// Like [`ByteBudget::reserve`], for tasks.
    pub async fn reserve_async(&self, bytes: u64) -> Reservation {
        let bytes = bytes.min(self.0.total);
        let _turn = self.0.turn.lock().await;
        loop {
            // Listening begins before looking: what is freed in between is not missed.
            let freed = self.0.freed_for_tasks.notified();
            let mut freed = std::pin::pin!(freed);
            freed.as_mut().enable();
            if let Some(reservation) = self.try_reserve(bytes) {
                return reservation;
            }
            freed.await;
        }
    }

    fn try_reserve(&self, bytes: u64) -> Option<Reservation> {
        let mut used = self.lock();
        if used.saturating_add(bytes) > self.0.total {
            return None;
        }
        *used += bytes;
        Some(Reservation {
            budget: self.clone(),
            bytes,
        })
    }

    /// Bytes in flight.
    pub fn used(&self) -> u64 {
        *self.lock()
    }
}

impl Reservation {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether an object that takes so many bytes was reckoned with; one larger
    /// than the budget needs the whole of it.
    pub fn covers(&self, bytes: u64) -> bool {
        self.bytes >= bytes.min(self.budget.total())
    }

    /// Says what is really taken: gives back the rest, or adds what lacks,
    /// without waiting.
    pub fn settle(&mut self, bytes: u64) {
        let mut used = self.budget.lock();
        *used = used.saturating_sub(self.bytes).saturating_add(bytes);
        self.bytes = bytes;
        drop(used);
        self.budget.0.freed.notify_all();
        self.budget.0.freed_for_tasks.notify_waiters();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.settle(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_reserved_again() {
        let budget = ByteBudget::new(10);
        let mut first = budget.reserve(7);
        first.settle(2);
        let second = budget.reserve(8);
        drop((first, second));
        assert_eq!(*budget.lock(), 0);
    }

    #[test]
    fn an_object_larger_than_the_budget_takes_the_whole_of_it() {
        let budget = ByteBudget::new(10);
        let all = budget.reserve(1_000);
        assert_eq!(all.bytes, 10);
        assert!(all.covers(1_000));
        drop(all);
        assert!(!budget.reserve(9).covers(10));
    }

    #[test]
    fn a_reservation_waits_for_the_one_before() {
        let budget = ByteBudget::new(10);
        let first = budget.reserve(10);
        let waiting = {
            let budget = budget.clone();
            std::thread::spawn(move || budget.reserve(4).bytes)
        };
        drop(first);
        assert_eq!(waiting.join().ok(), Some(4));
    }

    #[test]
    fn what_takes_more_than_expected_is_counted_and_paid_back() {
        let budget = ByteBudget::new(10);
        let mut first = budget.reserve(3);
        let second = budget.reserve(3);
        first.settle(12);
        assert_eq!(*budget.lock(), 15);
        drop(second);
        let waiting = {
            let budget = budget.clone();
            std::thread::spawn(move || budget.reserve(1).bytes)
        };
        drop(first);
        assert_eq!(waiting.join().ok(), Some(1));
        assert_eq!(*budget.lock(), 0);
    }
}
