//! The `kafka` input.

pub(crate) mod avro;
pub(crate) mod options;
pub(crate) mod registry_options;
pub(crate) mod schema_registry;
