//! The engine with inputs, filters and outputs that do exactly what a test tells them.

mod delivery;
mod fake;
mod filters;
mod pipe;
mod stop;
mod through_the_bus;
