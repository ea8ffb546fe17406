//! The engine with inputs, filters and outputs that do exactly what a test tells them.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail loudly")]

mod delivery;
mod fake;
mod filters;
mod on_disk;
mod pipe;
mod stop;
mod through_the_bus;
