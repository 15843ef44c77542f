//! The pure core against tables, and against an oracle that is slow and written differently; the file against the pure core.

mod agree;
mod damage;
mod follow;
mod house;
pub(super) mod naive;
pub(super) mod site;
mod tables;
