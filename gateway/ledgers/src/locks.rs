//! A lock that outlives whoever panicked while they held it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Nothing is left half done under these locks.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
