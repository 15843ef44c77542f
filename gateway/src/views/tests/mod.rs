//! The pure core against tables, and against an oracle that is slow and written differently.

mod agree;
pub(super) mod naive;
pub(super) mod site;
mod tables;
