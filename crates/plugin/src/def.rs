//! How a plugin is declared, and the registry of all of them.
//!
//! A plugin is one file with an options struct, a type that implements one of the four plugin traits here, and a
//! `PLUGIN` made by [`filter`], [`input`], [`output`] or [`codec`]. The crates of plugins list theirs; the executable
//! lists the crates.

use crate::build::{BuildContext, BuildResult, PipelineInfo, Refused};
use crate::bus::Bus;
use crate::codec::{Codec, CodecFactory};
use crate::decorate::{Decoration, InputDecoration};
use crate::filter::{EachEvent, EventFilter, Filter};
use crate::input::Input;
use crate::metrics::PluginMetrics;
use crate::output::{BatchEncoder, Output, OutputFactory};
use ferrostash_conf::{
    CodecConf, CommonCodec, CommonFilter, CommonInput, CommonOutput, Diagnostic, Diagnostics, OptionDef,
    OptionsDef, PluginBlock, PluginKind, suggest,
};
use std::sync::Arc;

/// A filter that works on one event at a time.
pub trait FilterPlugin: EventFilter + Clone + Sync + 'static {
    /// Its options.
    type Options: OptionsDef;
    /// Makes it. The clones that workers get start from the state it has now.
    fn build(options: Self::Options, cx: &mut BuildContext<'_>) -> BuildResult<Self>;
}

/// A codec.
pub trait CodecPlugin: Codec + Clone + Sync + 'static {
    /// Its options.
    type Options: OptionsDef;
    /// Makes it. Each stream gets a clone.
    fn build(options: Self::Options, cx: &mut BuildContext<'_>) -> BuildResult<Self>;
}

/// An input.
pub trait InputPlugin: Input + Sized + 'static {
    /// Its options.
    type Options: OptionsDef;
    /// The codec when the option `codec` is absent.
    const CODEC: &'static str = "plain";
    /// The same, where it depends on other options.
    fn default_codec(options: &Self::Options) -> &'static str {
        let _ = options;
        Self::CODEC
    }
    /// Whether its data is a stream without message bounds: then `plain` means `line` and `json` means `json_lines`.
    const STREAM: bool = false;
    /// Makes it.
    fn build(options: Self::Options, cx: &mut BuildContext<'_>) -> BuildResult<Self>;
}

/// An output.
pub trait OutputPlugin: Output + Clone + Sync + 'static {
    /// Its options.
    type Options: OptionsDef;
    /// The codec when the option `codec` is absent.
    const CODEC: &'static str = "plain";
    /// Whether several instances may run at once: one clone per worker then.
    const SHARED: bool = false;
    /// Whether its writes block the thread, as those to a disk do: each instance then runs on a thread of its own.
    const BLOCKING: bool = false;
    /// Makes it. The clones that run start from the state it has now.
    fn build(
        options: Self::Options,
        codec: Arc<dyn CodecFactory>,
        cx: &mut BuildContext<'_>,
    ) -> BuildResult<Self>;
    /// An encoder for a worker, where the output has one; its batches then carry what that made instead of events.
    fn encoder(&self) -> Option<Box<dyn BatchEncoder>> {
        None
    }
}

/// A plugin's declaration.
pub struct PluginDef {
    /// Input, filter, output or codec.
    pub kind: PluginKind,
    /// The name in configurations.
    pub name: &'static str,
    /// The first paragraph of its documentation.
    pub doc: &'static str,
    /// Its own options.
    pub options: &'static [OptionDef],
    make: MakeFn,
}

type MakeFn = fn(&PluginBlock, &mut BuildContext<'_>) -> BuildResult<Maker>;

/// What building a plugin gives the engine.
pub enum Maker {
    /// An input, with what is common to inputs.
    Input {
        /// The input.
        input: Box<dyn Input>,
        /// Its codec.
        codec: Arc<dyn CodecFactory>,
        /// `type`, `tags` and `add_field`.
        decoration: Arc<InputDecoration>,
        /// `enable_metric`.
        enable_metric: bool,
    },
    /// A filter, from which each worker gets a clone.
    Filter {
        /// Gives a worker its clone.
        for_worker: Box<dyn Fn() -> Box<dyn Filter> + Send + Sync>,
        /// `add_field` and the like.
        decoration: Arc<Decoration>,
        /// `periodic_flush`.
        periodic_flush: bool,
        /// Whether events on which it fails go to the dead letter queue.
        sends_failures: bool,
        /// `enable_metric`.
        enable_metric: bool,
    },
    /// An output.
    Output {
        /// Gives each worker its instance.
        factory: Arc<dyn OutputFactory>,
        /// Whether events that it can never deliver are kept, where the pipeline can.
        keeps_dead_letters: bool,
        /// `enable_metric`.
        enable_metric: bool,
    },
    /// A codec.
    Codec(Arc<dyn CodecFactory>),
}

/// A plugin that was built.
pub struct Built {
    /// Its declaration.
    pub def: &'static PluginDef,
    /// Its id, given or made.
    pub id: Arc<str>,
    /// What is counted for it.
    pub metrics: Arc<PluginMetrics>,
    /// The plugin.
    pub maker: Maker,
}

/// Declares a filter.
pub const fn filter<F: FilterPlugin>() -> PluginDef {
    declare::<F::Options>(make_filter::<F>)
}

/// Declares a codec.
pub const fn codec<C: CodecPlugin>() -> PluginDef {
    declare::<C::Options>(make_codec::<C>)
}

/// Declares an input.
pub const fn input<I: InputPlugin>() -> PluginDef {
    declare::<I::Options>(make_input::<I>)
}

/// Declares an output.
pub const fn output<O: OutputPlugin>() -> PluginDef {
    declare::<O::Options>(make_output::<O>)
}

const fn declare<O: OptionsDef>(make: MakeFn) -> PluginDef {
    // Options of a plugin always name it; those that plugins have in common are nobody's.
    let (kind, name) = match O::PLUGIN {
        Some(plugin) => plugin,
        None => (PluginKind::Codec, ""),
    };
    PluginDef { kind, name, doc: O::DOC, options: O::OPTIONS, make }
}

fn make_filter<F: FilterPlugin>(block: &PluginBlock, cx: &mut BuildContext<'_>) -> BuildResult<Maker> {
    let common = CommonFilter::from_conf(block, cx.diagnostics);
    let options = F::Options::from_conf(block, cx.diagnostics);
    let (common, options) = common.zip(options).ok_or(Refused)?;
    cx.set_ecs(common.ecs_compatibility)?;
    let sends_failures = cx.sends_failures(common.dead_letter_queue.as_ref());
    let filter = F::build(options, cx)?;
    Ok(Maker::Filter {
        for_worker: Box::new(move || Box::new(EachEvent(filter.clone()))),
        decoration: Arc::new(Decoration::of_filter(&common)),
        periodic_flush: common.periodic_flush,
        sends_failures: sends_failures?,
        enable_metric: common.enable_metric,
    })
}

fn make_codec<C: CodecPlugin>(block: &PluginBlock, cx: &mut BuildContext<'_>) -> BuildResult<Maker> {
    let common = CommonCodec::from_conf(block, cx.diagnostics);
    let options = C::Options::from_conf(block, cx.diagnostics);
    let (common, options) = common.zip(options).ok_or(Refused)?;
    cx.set_ecs(common.ecs_compatibility)?;
    cx.sends_failures = cx.sends_failures(common.dead_letter_queue.as_ref())?;
    Ok(Maker::Codec(Arc::new(C::build(options, cx)?)))
}

fn make_input<I: InputPlugin>(block: &PluginBlock, cx: &mut BuildContext<'_>) -> BuildResult<Maker> {
    let common = CommonInput::from_conf(block, cx.diagnostics);
    let options = I::Options::from_conf(block, cx.diagnostics);
    let (common, options) = common.zip(options).ok_or(Refused)?;
    cx.set_ecs(common.ecs_compatibility)?;
    let conf = common.codec.clone().unwrap_or_else(|| CodecConf::named(I::default_codec(&options)));
    let codec = if I::STREAM { cx.stream_codec(&conf)? } else { cx.codec(&conf)? };
    let decoration = Arc::new(InputDecoration::of_input(&common));
    cx.sends_failures = cx.sends_failures(None)?;
    let input = Box::new(I::build(options, cx)?);
    Ok(Maker::Input { input, codec, decoration, enable_metric: common.enable_metric })
}

fn make_output<O: OutputPlugin>(block: &PluginBlock, cx: &mut BuildContext<'_>) -> BuildResult<Maker> {
    let common = CommonOutput::from_conf(block, cx.diagnostics);
    let options = O::Options::from_conf(block, cx.diagnostics);
    let (common, options) = common.zip(options).ok_or(Refused)?;
    cx.set_ecs(common.ecs_compatibility)?;
    let codec = cx.codec(&common.codec.clone().unwrap_or_else(|| CodecConf::named(O::CODEC)))?;
    // Where there is a queue and nothing is said, they are kept.
    let keeps_dead_letters = match &common.dead_letter_queue {
        None => true,
        option => cx.sends_failures(option.as_ref())?,
    };
    let factory = Arc::new(Instances(O::build(options, codec, cx)?));
    Ok(Maker::Output { factory, keeps_dead_letters, enable_metric: common.enable_metric })
}

/// Gives each worker its instance of an output.
struct Instances<O>(O);

impl<O: OutputPlugin> OutputFactory for Instances<O> {
    fn for_worker(&self) -> Box<dyn Output> {
        Box::new(self.0.clone())
    }

    fn is_shared(&self) -> bool {
        O::SHARED
    }

    fn is_blocking(&self) -> bool {
        O::BLOCKING
    }

    fn encoder(&self) -> Option<Box<dyn BatchEncoder>> {
        self.0.encoder()
    }
}

/// All plugins there are.
#[derive(Clone)]
pub struct Registry {
    defs: Vec<&'static PluginDef>,
}

impl Registry {
    /// The registry of these lists, one for each crate of plugins.
    pub fn new(lists: &[&[&'static PluginDef]]) -> Registry {
        let mut defs = lists.concat();
        defs.sort_by_key(|def| (def.kind, def.name));
        Registry { defs }
    }

    /// All declarations, by kind and name.
    pub fn iter(&self) -> impl Iterator<Item = &'static PluginDef> {
        self.defs.iter().copied()
    }

    /// The plugin of that kind and name.
    pub fn get(&self, kind: PluginKind, name: &str) -> Option<&'static PluginDef> {
        self.iter().find(|def| def.kind == kind && def.name == name)
    }

    /// Builds the plugin of a block; what is wrong goes to `diagnostics`.
    pub fn build(
        &self,
        block: &PluginBlock,
        pipeline: &PipelineInfo,
        bus: &Bus,
        diagnostics: &mut Diagnostics,
    ) -> BuildResult<Built> {
        let Some(def) = self.get(block.kind, &block.name) else {
            diagnostics.push(self.unknown(block));
            return Err(Refused);
        };
        let metrics = Arc::<PluginMetrics>::default();
        let id: Arc<str> = block.id.as_str().into();
        let mut cx = BuildContext {
            pipeline,
            bus,
            id: Arc::clone(&id),
            ecs: pipeline.ecs,
            metrics: Arc::clone(&metrics),
            plugin: (def.kind, def.name),
            span: block.name_span,
            diagnostics,
            registry: self,
            sends_failures: false,
        };
        let maker = (def.make)(block, &mut cx)?;
        Ok(Built { def, id, metrics, maker })
    }

    fn unknown(&self, block: &PluginBlock) -> Diagnostic {
        let PluginBlock { kind, name, .. } = block;
        let names = self.iter().filter(|def| def.kind == *kind).map(|def| def.name);
        let label = match suggest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("no such {kind} is built into this program"),
        };
        let sentence = format!(
            "Couldn't find any {kind} plugin named '{name}'. Are you sure this is correct? Trying to load the {name} {kind} \
             plugin resulted in this error: no such plugin is built into this program"
        );
        Diagnostic::error(format!("unknown {kind} plugin `{name}`"))
            .at(block.name_span, label)
            .logstash("LogStash::PluginLoadingError", sentence)
    }
}
