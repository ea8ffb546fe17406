//! Tests on the real executable: command line, settings, samples, signals, API.
//!
//! Each starts its own process with its own folders and ports, and stops it by its handle.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly, and so do their helpers"
)]

mod api;
mod bad_input;
mod check;
mod cli;
mod dead_letter_queue;
mod deploy;
mod durability;
mod elasticsearch;
mod harness;
mod kafka;
mod queue;
mod run;
mod samples;
mod signals;
