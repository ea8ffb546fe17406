//! Time text: points in time, time zones, and the patterns that turn text into one and back.

mod civil;
mod iso;
mod scan;
mod timestamp;
mod zone;

pub use timestamp::Timestamp;
pub use zone::{Zone, ZoneError};
