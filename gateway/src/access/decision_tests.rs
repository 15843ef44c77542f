//! Decisions, as a table and as properties.
