//! The name of a field in an option that is no `%{…}` template.

use ferrostash_event::{FieldRef, FieldRefError};
use ferrostash_plugin::BuildContext;

/// A field reference that may be illegal: Logstash finds that out at each event, and tags it.
#[derive(Clone, Debug)]
pub(crate) struct Field(Result<FieldRef, FieldRefError>);

impl Field {
    /// Reads a name, and warns of one that will fail at every event.
    pub(crate) fn parse(name: &str, cx: &mut BuildContext<'_>) -> Field {
        let parsed = FieldRef::parse(name);
        if let Err(error) = &parsed {
            cx.warn(format!("{error}; every event will fail here"));
        }
        Field(parsed)
    }

    /// The reference.
    pub(crate) fn get(&self) -> Result<&FieldRef, FieldRefError> {
        self.0.as_ref().map_err(Clone::clone)
    }
}
