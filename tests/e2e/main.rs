//! Tests with real services on loopback: what arrives there, and what survives their worst moments.
//!
//! `cargo test --test e2e -- --ignored`; needs java 17, and javac, jar and mvn for the first time. See `tests/services/`.
//!
//! A service is started once for all tests, which take turns with it, and ends with the process of the tests however that
//! comes to its end. Each test has indices of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly, and so do their helpers"
)]

mod access;
mod blocked;
mod delivery;
#[path = "../it/harness.rs"]
#[allow(dead_code, reason = "what the tests of the executable alone need")]
mod harness;
mod kafka;
mod kafka_access;
#[cfg(feature = "kafka-gssapi")]
mod kafka_kerberos;
mod mdaemon;
mod pipeline;
mod service;
mod setup;
