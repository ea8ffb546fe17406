//! The value of `ecs_compatibility`.

use crate::conf_value::ConfValue;
use crate::from_conf::{ConvertError, FromConf};
use crate::option_kind::OptionKind;

/// Whether a plugin follows the Elastic Common Schema, and which major version of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EcsCompatibility {
    /// `disabled`
    Disabled,
    /// `v1`, `v8`, …
    Version(u8),
}

impl EcsCompatibility {
    /// Reads `disabled` or `v` and a number; `None` for anything else.
    pub fn parse(text: &str) -> Option<EcsCompatibility> {
        if text == "disabled" {
            return Some(EcsCompatibility::Disabled);
        }
        text.strip_prefix('v')?.parse().ok().map(EcsCompatibility::Version)
    }
}

impl FromConf for EcsCompatibility {
    const KIND: OptionKind = OptionKind::EcsCompatibility;
    fn convert(value: &ConfValue) -> Result<EcsCompatibility, ConvertError> {
        value
            .to_text()
            .and_then(|text| EcsCompatibility::parse(&text))
            .ok_or_else(|| ConvertError::new(value, "expected disabled, v1 or v8"))
    }
}
