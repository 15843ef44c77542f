//! From a door's bytes to its answer: MQTT listener and sessions ([`doors`]), the one thread that decides and keeps
//! ([`scan`]), and who watches ([`monitors`]).

pub mod doors;

pub mod scan;

pub mod monitors;
