//! A bounded pool of items that are expensive to make and used by one thread at a time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lends out items, makes a new one when none is idle and the limit allows, waits otherwise.
pub(crate) struct Pool<T> {
    state: Mutex<State<T>>,
    returned: Condvar,
    limit: usize,
}

struct State<T> {
    idle: Vec<T>,
    /// Idle and lent ones, and those being made.
    count: usize,
    /// Threads that wait. Waking costs a system call, which is saved when no thread waits.
    waiting: usize,
}

/// The right to use one item. It counts towards the limit until it is dropped.
pub(crate) struct Place<'a, T> {
    pool: &'a Pool<T>,
    /// The item, when there was an idle one.
    item: Option<T>,
}

impl<T> Pool<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                idle: Vec::new(),
                count: 0,
                waiting: 0,
            }),
            returned: Condvar::new(),
            limit: limit.max(1),
        }
    }

    /// Waits for a place.
    pub(crate) fn acquire(&self) -> Place<'_, T> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.idle.pop() {
                return Place {
                    pool: self,
                    item: Some(item),
                };
            }
            if state.count < self.limit {
                state.count += 1;
                return Place {
                    pool: self,
                    item: None,
                };
            }
            state.waiting += 1;
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    /// A place if there is one without waiting.
    pub(crate) fn try_acquire(&self) -> Option<Place<'_, T>> {
        let mut state = self.lock();
        let item = state.idle.pop();
        if item.is_none() {
            if state.count >= self.limit {
                return None;
            }
            state.count += 1;
        }
        Some(Place { pool: self, item })
    }

    /// Number of idle items.
    pub(crate) fn idle(&self) -> usize {
        self.lock().idle.len()
    }

    /// Drops the idle items.
    pub(crate) fn clear(&self) {
        let mut state = self.lock();
        let idle = std::mem::take(&mut state.idle);
        state.count -= idle.len();
        drop(state);
        // Whoever waits may make one now. The items end outside of the lock.
        self.returned.notify_all();
        drop(idle);
    }

    /// No code that can panic runs under this lock, so a poisoned one still holds a sound state.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Place<'_, T> {
    /// The item, made first when the place is empty.
    pub(crate) fn get_or_make<E>(&mut self, make: impl FnOnce() -> Result<T, E>) -> Result<&mut T, E> {
        let item = match self.item.take() {
            Some(item) => item,
            None => make()?,
        };
        Ok(self.item.insert(item))
    }

    /// Discards the item; the next user of the place makes a new one. Returns whether there was an item.
    pub(crate) fn discard(&mut self) -> bool {
        self.item.take().is_some()
    }
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        match self.item.take() {
            Some(item) => state.idle.push(item),
            None => state.count -= 1,
        }
        let somebody_waits = state.waiting > 0;
        drop(state);
        if somebody_waits {
            self.pool.returned.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Pool;

    #[test]
    fn the_limit_holds_and_discarded_items_are_made_anew() {
        let pool = Pool::<usize>::new(3);
        let (made, in_use, most) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (pool, made, in_use, most) = (&pool, &made, &in_use, &most);
                scope.spawn(move || {
                    for turn in 0..200 {
                        let mut place = pool.acquire();
                        most.fetch_max(in_use.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        let make = || {
                            if turn % 7 == 0 {
                                Err(())
                            } else {
                                Ok(made.fetch_add(1, Ordering::SeqCst))
                            }
                        };
                        if place.get_or_make(make).is_ok() && (turn + thread) % 5 == 0 {
                            assert!(place.discard());
                        }
                        in_use.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
        let state = pool.lock();
        assert!(state.idle.len() <= 3);
        assert_eq!(state.count, state.idle.len(), "nothing is lent any more");
    }
}
