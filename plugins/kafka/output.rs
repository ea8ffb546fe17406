//! The `kafka` output.

pub(crate) mod options;
