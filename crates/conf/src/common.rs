//! The options that all plugins of a kind have. They are applied by the engine, not by the plugin.

use ferrostash_event::Template;

use crate::Spanned;
use crate::codec_conf::CodecConf;
use crate::conf_value::ConfValue;
use crate::ecs::EcsCompatibility;
use crate::options::{OptionDef, OptionsDef};
use crate::plugin_block::PluginKind;
use ferrostash_conf_derive::Options;

/// The options of every input.
#[derive(Options, Clone, Debug)]
#[plugin(common)]
pub struct CommonInput {
    /// A name for the plugin, for logs and metrics.
    pub id: Option<String>,
    /// Whether the plugin is measured.
    #[option(default = true)]
    pub enable_metric: bool,
    /// Which field names the plugin uses; the pipeline's setting when absent.
    pub ecs_compatibility: Option<EcsCompatibility>,
    /// Value for the field `type` of events that have none.
    #[option(rename = "type")]
    pub event_type: Option<String>,
    /// Tags for every event.
    pub tags: Option<Vec<Template>>,
    /// Fields for every event.
    #[option(default = {})]
    pub add_field: Vec<(Template, ConfValue)>,
    /// How bytes become events; the plugin's own default when absent.
    #[option(default_text = "plain")]
    pub codec: Option<CodecConf>,
    /// Gone.
    #[option(
        kind = "boolean",
        obsolete = "This setting no longer has any effect. In past releases, it existed, but almost no plugin made use of it."
    )]
    pub debug: (),
    /// Gone.
    #[option(
        kind = "enum",
        values = ["plain", "json", "json_event", "msgpack_event"],
        obsolete = "You should use the newer 'codec' setting instead."
    )]
    pub format: (),
    /// Gone.
    #[option(
        obsolete = "Use the codec setting instead. For example: input { %PLUGIN% { codec => plain { charset => \"UTF-8\" } }"
    )]
    pub charset: (),
    /// Gone.
    #[option(kind = "string", obsolete = "Setting is no longer valid.")]
    pub message_format: (),
}

/// The options of every filter.
#[derive(Options, Clone, Debug)]
#[plugin(common)]
pub struct CommonFilter {
    /// A name for the plugin, for logs and metrics.
    pub id: Option<String>,
    /// Whether the plugin is measured.
    #[option(default = true)]
    pub enable_metric: bool,
    /// Which field names the plugin uses; the pipeline's setting when absent.
    pub ecs_compatibility: Option<EcsCompatibility>,
    /// Tags to add when the filter succeeds.
    #[option(default = [])]
    pub add_tag: Vec<Template>,
    /// Tags to take away when the filter succeeds.
    #[option(default = [])]
    pub remove_tag: Vec<Template>,
    /// Fields to add when the filter succeeds.
    #[option(default = {})]
    pub add_field: Vec<(Template, ConfValue)>,
    /// Fields to remove when the filter succeeds.
    #[option(default = [])]
    pub remove_field: Vec<Template>,
    /// Whether the filter is flushed every five seconds.
    #[option(default = false)]
    pub periodic_flush: bool,
    /// Whether events on which the filter fails go to the dead letter queue, tagged as ever, instead of going on; the setting
    /// `dead_letter_queue.failures` when absent. Not an option of Logstash.
    pub dead_letter_queue: Option<Spanned<bool>>,
    /// Gone.
    #[option(
        rename = "type",
        kind = "string",
        obsolete = "You can achieve this same behavior with the new conditionals, like: `if [type] == \"sometype\" { %PLUGIN% { ... } }`."
    )]
    pub event_type: (),
    /// Gone.
    #[option(
        kind = "array",
        obsolete = "You can achieve similar behavior with the new conditionals, like: `if \"sometag\" in [tags] { %PLUGIN% { ... } }`"
    )]
    pub tags: (),
    /// Gone.
    #[option(
        kind = "array",
        obsolete = "You can achieve similar behavior with the new conditionals, like: `if (\"sometag\" not in [tags]) { %PLUGIN% { ... } }`"
    )]
    pub exclude_tags: (),
}

/// The options of every output.
#[derive(Options, Clone, Debug)]
#[plugin(common)]
pub struct CommonOutput {
    /// A name for the plugin, for logs and metrics.
    pub id: Option<String>,
    /// Whether the plugin is measured.
    #[option(default = true)]
    pub enable_metric: bool,
    /// Which field names the plugin uses; the pipeline's setting when absent.
    pub ecs_compatibility: Option<EcsCompatibility>,
    /// How events become bytes; the plugin's own default when absent.
    #[option(default_text = "plain")]
    pub codec: Option<CodecConf>,
    /// Whether events that can never be delivered go to the dead letter queue; where there is one and this is absent, they do.
    /// `false` drops them with a warning. Not an option of Logstash.
    pub dead_letter_queue: Option<Spanned<bool>>,
    /// Without effect.
    #[option(kind = "any", deprecated = "This parameter will be ignored.")]
    pub workers: Option<ConfValue>,
    /// Gone.
    #[option(
        rename = "type",
        kind = "string",
        obsolete = "You can achieve this same behavior with the new conditionals, like: `if [type] == \"sometype\" { %PLUGIN% { ... } }`."
    )]
    pub event_type: (),
    /// Gone.
    #[option(
        kind = "array",
        obsolete = "You can achieve similar behavior with the new conditionals, like: `if \"sometag\" in [tags] { %PLUGIN% { ... } }`"
    )]
    pub tags: (),
    /// Gone.
    #[option(
        kind = "array",
        obsolete = "You can achieve similar behavior with the new conditionals, like: `if (\"sometag\" not in [tags]) { %PLUGIN% { ... } }`"
    )]
    pub exclude_tags: (),
}

/// The options of every codec.
#[derive(Options, Clone, Debug)]
#[plugin(common)]
pub struct CommonCodec {
    /// A name for the plugin, for logs and metrics.
    pub id: Option<String>,
    /// Whether the plugin is measured.
    #[option(default = true)]
    pub enable_metric: bool,
    /// Which field names the plugin uses; the pipeline's setting when absent.
    pub ecs_compatibility: Option<EcsCompatibility>,
    /// Whether events that keep what could not be read go to the dead letter queue, tagged as ever, instead of into the
    /// pipeline; the setting `dead_letter_queue.failures` when absent. Not an option of Logstash.
    pub dead_letter_queue: Option<Spanned<bool>>,
}

/// The common options of a kind.
pub const fn options(kind: PluginKind) -> &'static [OptionDef] {
    match kind {
        PluginKind::Input => CommonInput::OPTIONS,
        PluginKind::Filter => CommonFilter::OPTIONS,
        PluginKind::Output => CommonOutput::OPTIONS,
        PluginKind::Codec => CommonCodec::OPTIONS,
    }
}

/// The names of the common options of a kind.
pub(crate) fn option_names(kind: PluginKind) -> Vec<&'static str> {
    options(kind).iter().map(|def| def.name).collect()
}
