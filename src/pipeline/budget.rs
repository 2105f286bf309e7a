//! Bytes in flight, bounded: reserved before an object is fetched, held by what
//! becomes of it, given back when its rows are committed.
//!
//! INVARIANT (in order): reservations are made in the order of the listing. The
//! committer needs objects in that order, so the object it waits for always has
//! its memory already, and the two can never wait for each other.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A budget of bytes, shared by everything in flight.
#[derive(Clone)]
pub struct ByteBudget(Arc<Shared>);

struct Shared {
    free: Mutex<u64>,
    freed: Condvar,
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
            free: Mutex::new(total),
            freed: Condvar::new(),
            total,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        // A poisoned lock guards one number, which is right at any instant.
        self.0.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `bytes` (at most the whole budget) are free, and takes them.
    pub fn reserve(&self, bytes: u64) -> Reservation {
        let bytes = bytes.min(self.0.total);
        let mut free = self.lock();
        while *free < bytes {
            free = self
                .0
                .freed
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *free -= bytes;
        Reservation {
            budget: self.clone(),
            bytes,
        }
    }
}

impl Reservation {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives back what is held beyond `bytes`; never takes more.
    pub fn shrink_to(&mut self, bytes: u64) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.bytes -= surplus;
        *self.budget.lock() += surplus;
        self.budget.0.freed.notify_all();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_reserved_again() {
        let budget = ByteBudget::new(10);
        let mut first = budget.reserve(7);
        first.shrink_to(2);
        let second = budget.reserve(8);
        drop((first, second));
        assert_eq!(*budget.lock(), 10);
    }

    #[test]
    fn an_object_larger_than_the_budget_takes_the_whole_of_it() {
        let budget = ByteBudget::new(10);
        assert_eq!(budget.reserve(1_000).bytes, 10);
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
}
