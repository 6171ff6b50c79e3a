//! What a request holds while it is under way.

use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::places::Place;
use super::shedder::UnderWay;

/// Everything is given back when it is dropped, which is when the response's body has ended or the client has left.
#[derive(Default)]
pub(crate) struct Permit {
    pub(crate) shed: Option<UnderWay>,
    pub(crate) client: Option<Place>,
    pub(crate) gate: Option<OwnedSemaphorePermit>,
}

impl Permit {
    /// The response's head came after so long.
    pub(crate) fn answered(&self, took: Duration) {
        if let Some(shed) = &self.shed {
            shed.answered(took);
        }
    }
}
