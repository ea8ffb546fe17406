//! Building plugins: what `build` may use, and how it says no.
//!
//! Building has no outside effect beyond reading files that an option names: nothing is bound, spawned or written.

use crate::bus::Bus;
use crate::codec::CodecFactory;
use crate::def::{Maker, Registry};
use crate::ecs::Ecs;
use crate::failures::DeadLettering;
use crate::metrics::PluginMetrics;
use crate::whole_lines::whole_lines;
use ferrostash_conf::{CodecConf, Diagnostic, Diagnostics, EcsCompatibility, PluginKind, Span};
use std::path::PathBuf;
use std::sync::Arc;

/// What all plugins of a pipeline know of it.
#[derive(Clone, Debug)]
pub struct PipelineInfo {
    /// `pipeline.id`.
    pub id: Arc<str>,
    /// `pipeline.workers`.
    pub workers: usize,
    /// `pipeline.batch.size`.
    pub batch_size: usize,
    /// `pipeline.ecs_compatibility`.
    pub ecs: Ecs,
    /// `queue.type: persisted`.
    pub has_persisted_queue: bool,
    /// `dead_letter_queue.*`
    pub dead_letters: DeadLettering,
    /// `path.data`.
    pub path_data: PathBuf,
    /// The name of this machine.
    pub host: Arc<str>,
}

impl Default for PipelineInfo {
    fn default() -> Self {
        PipelineInfo {
            id: "main".into(),
            workers: 1,
            batch_size: 125,
            ecs: Ecs::default(),
            has_persisted_queue: false,
            dead_letters: DeadLettering::default(),
            path_data: PathBuf::from("data"),
            host: "localhost".into(),
        }
    }
}

/// What a plugin is built with.
pub struct BuildContext<'a> {
    /// The pipeline it belongs to.
    pub pipeline: &'a PipelineInfo,
    /// The ways between pipelines.
    pub bus: &'a Bus,
    /// The plugin's `id`, given or made.
    pub id: Arc<str>,
    /// Its ECS mode.
    pub ecs: Ecs,
    /// What is counted for it.
    pub metrics: Arc<PluginMetrics>,
    /// Its kind and name.
    pub plugin: (PluginKind, &'static str),
    /// Where it is written.
    pub span: Span,
    /// Problems found; errors stop the start, warnings don't.
    pub diagnostics: &'a mut Diagnostics,
    pub(crate) registry: &'a Registry,
    /// Whether what a codec can't read goes to the dead letter queue.
    pub(crate) sends_failures: bool,
}

/// A plugin could not be built; the reasons are in [`BuildContext::diagnostics`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// The result of building.
pub type BuildResult<T> = Result<T, Refused>;

impl BuildContext<'_> {
    /// Reports an error at the plugin itself.
    pub fn refuse(&mut self, message: impl Into<String>) -> Refused {
        self.refuse_at(self.span, message)
    }

    /// Reports an error at `span`, with the class that Logstash gives it.
    pub fn refuse_at(&mut self, span: Span, message: impl Into<String>) -> Refused {
        let message = message.into();
        let (kind, name) = self.plugin;
        let text = format!("{kind} `{name}`: {message}");
        self.report(
            Diagnostic::error(text).at(span, "here").logstash("LogStash::ConfigurationError", message),
        )
    }

    /// Reports any diagnostic.
    pub fn report(&mut self, diagnostic: Diagnostic) -> Refused {
        self.diagnostics.push(diagnostic);
        Refused
    }

    /// Reports a warning at the plugin itself.
    pub fn warn(&mut self, message: impl Into<String>) {
        let (kind, name) = self.plugin;
        let text = format!("{kind} `{name}`: {}", message.into());
        self.diagnostics.push(Diagnostic::warning(text).at(self.span, "here"));
    }

    /// Says at debug level which engine runs a pattern, and why if it is the slower one.
    pub fn log_pattern(&self, pattern: &str, engine: &str, reason: Option<&str>) {
        let (kind, name) = self.plugin;
        tracing::debug!(
            plugin.id = &*self.id,
            plugin = %format_args!("{kind} {name}"),
            pattern,
            engine,
            reason,
            "A pattern was compiled."
        );
    }

    /// The codec of an option.
    pub fn codec(&mut self, conf: &CodecConf) -> BuildResult<Arc<dyn CodecFactory>> {
        match self.registry.build(&conf.block, self.pipeline, self.bus, self.diagnostics)?.maker {
            Maker::Codec(codec) => Ok(codec),
            _ => Err(Refused),
        }
    }

    /// The codec of an option, for an input whose data is a stream: `plain` becomes `line`, `json` becomes `json_lines`,
    /// and a codec that takes whole lines gets whole lines.
    pub fn stream_codec(&mut self, conf: &CodecConf) -> BuildResult<Arc<dyn CodecFactory>> {
        let name = match conf.name.as_str() {
            "plain" => "line",
            "json" => "json_lines",
            _ => return Ok(whole_lines(self.codec(conf)?)),
        };
        let mut renamed = conf.clone();
        name.clone_into(&mut renamed.name);
        name.clone_into(&mut renamed.block.name);
        Ok(whole_lines(self.codec(&renamed)?))
    }

    pub(crate) fn set_ecs(&mut self, option: Option<EcsCompatibility>) -> BuildResult<()> {
        if let Some(option) = option {
            self.ecs =
                Ecs::of(option).ok_or_else(|| self.refuse("ecs_compatibility must be disabled, v1 or v8"))?;
        }
        Ok(())
    }
}
