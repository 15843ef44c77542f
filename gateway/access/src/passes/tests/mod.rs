//! Passes and health certificates made for the purpose, good and bad in every way that is known.

mod certificates;
mod fuzz;
mod makers;
mod passes;
mod published;
mod trust;
mod who;
