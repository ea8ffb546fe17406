//! The codec of an input or output.

use crate::conf_value::{ConfKind, ConfValue};
use crate::plugin_block::{PluginBlock, PluginKind};

/// A codec with its options, before it is built.
#[derive(Clone, Debug)]
pub struct CodecConf {
    /// Its name.
    pub name: String,
    /// Its block; without options if the name alone was given.
    pub block: PluginBlock,
}

impl CodecConf {
    /// `codec => name` or `codec => name { … }`; `None` for anything else.
    pub(crate) fn from_value(value: &ConfValue) -> Option<CodecConf> {
        let block = match &value.kind {
            ConfKind::Text(name) => PluginBlock::bare(PluginKind::Codec, name.as_str(), value.span),
            ConfKind::Plugin(block) => (**block).clone(),
            ConfKind::Array(values) => match values.as_slice() {
                [one] => return CodecConf::from_value(one),
                _ => return None,
            },
            _ => return None,
        };
        Some(CodecConf { name: block.name.clone(), block })
    }

    /// A codec without options, for defaults.
    pub fn named(name: &str) -> CodecConf {
        let block = PluginBlock::bare(PluginKind::Codec, name, crate::Span::nowhere());
        CodecConf { name: name.to_owned(), block }
    }
}
