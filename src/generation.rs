//! One pipeline from its settings to something that can be started: what `-t` checks and what a reload builds first.

use crate::settings::{EcsCompatibility, PipelineSettings, QueueCompression, QueueType};
use ferrostash_conf::{
    ConfSettings, Diagnostic, Diagnostics, PipelineConf, SourceMap, Vars, load_path, load_string,
};
use ferrostash_pipeline::{BuildParts, BuiltPipeline, OnDisk, Persisted, Settings, build};
use ferrostash_plugin::{Bus, DeadLettering, Ecs, PipelineInfo, Registry};
use ferrostash_queue::{Compression, PageOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What all pipelines of the process are built with.
pub(crate) struct Workshop {
    pub(crate) registry: Registry,
    pub(crate) bus: Bus,
    pub(crate) vars: Vars,
    pub(crate) path_data: PathBuf,
    pub(crate) host: Arc<str>,
}

/// The configuration of a pipeline, read and parsed, nothing built.
pub(crate) struct Draft {
    pub(crate) settings: PipelineSettings,
    sources: SourceMap,
    conf: PipelineConf,
    diagnostics: Diagnostics,
}

/// A configuration that can't be used.
pub(crate) struct Invalid {
    /// All errors and warnings, with places and carets.
    pub(crate) report: String,
    /// The class and sentence that Logstash has for the first error.
    pub(crate) class: String,
    pub(crate) sentence: String,
}

impl Draft {
    /// Reads and parses; what is wrong comes out in [`Draft::build`].
    pub(crate) fn read(settings: &PipelineSettings, vars: &Vars) -> Draft {
        let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
        if let Some(text) = &settings.config_string {
            load_string(text.as_str(), &mut sources);
        } else if let Some(path) = &settings.path_config {
            load_path(path, &mut sources, &mut diagnostics);
        }
        let conf_settings = ConfSettings { support_escapes: settings.support_escapes };
        let conf = PipelineConf::parse(&sources, conf_settings, vars, &mut diagnostics);
        Draft { settings: settings.clone(), sources, conf, diagnostics }
    }

    /// The digest of the texts: another one is another configuration.
    pub(crate) fn hash(&self) -> &str {
        &self.conf.hash
    }

    /// The same without its inputs.
    pub(crate) fn without_inputs(mut self) -> Draft {
        self.conf.inputs.clear();
        self
    }

    /// Makes all plugins. Nothing is opened yet. Warnings are returned with what was built.
    pub(crate) fn build(mut self, workshop: &Workshop) -> Result<(BuiltPipeline, Vec<String>), Invalid> {
        if self.settings.is_ordered() && self.settings.worker_count() > 1 {
            let message =
                "enabling the 'pipeline.ordered' setting requires the use of a single pipeline worker";
            let help = "set pipeline.workers (-w) to 1";
            self.diagnostics.push(Diagnostic::error(message).help(help).logstash("RuntimeError", message));
        }
        if self.settings.dead_letter_queue.failures && !self.settings.dead_letter_queue.enable {
            let message = "dead_letter_queue.failures needs a dead letter queue";
            let help = "set dead_letter_queue.enable: true";
            self.diagnostics.push(Diagnostic::error(message).help(help).logstash("RuntimeError", message));
        }
        let queue = &self.settings.queue;
        if queue.kind == QueueType::Persisted && queue.page_capacity_bytes > queue.max_bytes {
            let message = format!(
                "Pipeline {} 'queue.page_capacity' must be less than or equal to 'queue.max_bytes'.",
                self.settings.id
            );
            self.diagnostics.push(Diagnostic::error(message.clone()).logstash("RuntimeError", message));
        }
        let info = PipelineInfo {
            id: self.settings.id.as_str().into(),
            workers: self.settings.worker_count(),
            batch_size: self.settings.batch_size,
            ecs: ecs(self.settings.ecs_compatibility),
            has_persisted_queue: queue.kind == QueueType::Persisted,
            dead_letters: DeadLettering {
                is_on: self.settings.dead_letter_queue.enable,
                failures: self.settings.dead_letter_queue.failures,
            },
            path_data: workshop.path_data.clone(),
            host: Arc::clone(&workshop.host),
        };
        let parts = BuildParts {
            registry: &workshop.registry,
            pipeline: &info,
            bus: &workshop.bus,
            sources: &self.sources,
        };
        match build(&self.conf, &parts, &mut self.diagnostics) {
            Some(built) => {
                let warnings =
                    self.diagnostics.iter().map(|warning| warning.render(&self.sources, false)).collect();
                Ok((built, warnings))
            }
            None => Err(self.invalid()),
        }
    }

    fn invalid(&self) -> Invalid {
        let (class, sentence) = match self.diagnostics.logstash_error() {
            Some(error) => (error.class.to_string(), error.message.clone()),
            None => (
                "LogStash::ConfigurationError".to_owned(),
                "Something is wrong with your configuration.".to_owned(),
            ),
        };
        Invalid { report: self.diagnostics.render(&self.sources, false), class, sentence }
    }
}

/// Bytes of a page of a spill.
const SPILL_PAGE_BYTES_MAX: u64 = 16 << 20;

/// The engine's numbers of a pipeline.
pub(crate) fn engine_settings(settings: &PipelineSettings, path_data: &Path) -> Settings {
    Settings {
        workers: settings.worker_count(),
        batch_size: settings.batch_size,
        batch_delay: settings.batch_delay,
        ordered: settings.is_ordered(),
        has_dead_letter_queue: settings.dead_letter_queue.enable,
        persisted: persisted(settings),
        spill: spill(settings, path_data),
        ..Settings::default()
    }
}

/// The folder of a pipeline below `root`; an id that would lead elsewhere is spelt out.
pub(crate) fn folder_of(root: &Path, pipeline_id: &str) -> PathBuf {
    let leads_away = pipeline_id.contains('/') || ["", ".", ".."].contains(&pipeline_id);
    match leads_away {
        false => root.join(pipeline_id),
        true => root.join(pipeline_id.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>()),
    }
}

fn persisted(settings: &PipelineSettings) -> Option<Persisted> {
    let queue = &settings.queue;
    if queue.kind == QueueType::Memory {
        return None;
    }
    let pages = PageOptions {
        page_bytes_max: queue.page_capacity_bytes,
        bytes_max: queue.max_bytes,
        events_max: queue.max_events,
        compression: match queue.compression {
            QueueCompression::None | QueueCompression::Disabled => Compression::None,
            QueueCompression::Speed => Compression::Speed,
            QueueCompression::Balanced => Compression::Balanced,
            QueueCompression::Size => Compression::Size,
        },
        checkpoint_acks: u32::try_from(queue.checkpoint_acks).unwrap_or(u32::MAX),
    };
    Some(Persisted {
        on_disk: OnDisk { dir: folder_of(&queue.path, &settings.id), pages },
        drain: queue.drain,
    })
}

fn spill(settings: &PipelineSettings, path_data: &Path) -> Option<OnDisk> {
    let bytes_max = settings.spill_max_bytes;
    let page_bytes_max = SPILL_PAGE_BYTES_MAX.min(bytes_max);
    let pages = PageOptions { page_bytes_max, bytes_max, ..PageOptions::default() };
    (bytes_max > 0).then(|| OnDisk { dir: folder_of(&path_data.join("spill"), &settings.id), pages })
}

fn ecs(setting: EcsCompatibility) -> Ecs {
    match setting {
        EcsCompatibility::Disabled => Ecs::Disabled,
        EcsCompatibility::V1 => Ecs::V1,
        EcsCompatibility::V8 => Ecs::V8,
    }
}
