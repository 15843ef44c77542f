//! The pure core against tables, and against oracles that are slow and written differently.
