//! How many requests are answered at the same time: each holds a slot until its answer is sent.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Refusal;

/// The slots for requests of one kind.
pub(super) struct RequestSlots {
    free: Arc<Semaphore>,
    max: usize,
}

/// A request's slots among those that are answered at the same time. Whoever works for the request keeps a clone, so
/// that work that outlives its request still counts.
#[derive(Clone, Debug)]
pub(super) struct Permit {
    /// Among all requests; absent where the request is not counted.
    pub(super) _all: Option<Arc<OwnedSemaphorePermit>>,
    /// Among those whose answers may be large, where it is one.
    pub(super) _heavy: Option<Arc<OwnedSemaphorePermit>>,
}

impl RequestSlots {
    pub(super) fn new(max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(max)), max }
    }

    /// A slot for one more request.
    ///
    /// # Errors
    /// When there is none left.
    pub(super) fn take(&self) -> Result<Arc<OwnedSemaphorePermit>, Refusal> {
        let permit = Arc::clone(&self.free).try_acquire_owned();
        permit.map(Arc::new).map_err(|_| Refusal::busy(self.max))
    }
}
