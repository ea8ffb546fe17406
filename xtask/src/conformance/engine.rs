//! Runs a case on the engine: the parser of configurations, the registry of plugins, and the program of a pipeline.

use super::case::{Case, Kind};
use super::encoded;
use super::judge::Outcome;
use crate::json::Json;
use anyhow::{Context as _, Result, bail};
use ferrostash_conf::{
    ConfKind, ConfSettings, Diagnostic, Diagnostics, PipelineConf, PluginBlock, PluginKind, Protocol,
    SourceMap, Vars, grammar, lower,
};
use ferrostash_event::{Event, Timestamp};
use ferrostash_pipeline::{BuildParts, BuiltPipeline, FailedConditions, Program};
use ferrostash_plugin::{Bus, Codec, Ecs, Maker, PipelineInfo, Registry};
use std::path::Path;
use tempfile::TempDir;

/// Milliseconds of the time of events that name none: 2026-01-02T03:04:05.678Z.
const NOW_MS: i64 = 1_767_323_045_678;

/// What the engine makes of `case`.
pub(crate) fn run(case: &Case) -> Outcome {
    let outcome = Scene::set(case).and_then(|scene| match &case.kind {
        Kind::Parse(config) => Ok(parse(&scene, config)),
        Kind::Config(config) => Ok(scene.build_all(config)),
        Kind::Filters(config) => scene.filter(config),
        Kind::Decode(codec, bytes) => scene.decode(codec, bytes),
        Kind::Encode(codec) => scene.encode(codec),
        Kind::Unreadable(reason) => bail!("{reason}"),
    });
    outcome.unwrap_or_else(|error| Outcome::Broken(format!("{error:#}")))
}

fn now() -> Timestamp {
    Timestamp::from_millis(NOW_MS)
}

/// What surrounds a case: its settings, variables and files.
struct Scene<'c> {
    case: &'c Case,
    folder: TempDir,
    info: PipelineInfo,
    support_escapes: bool,
    ordered: bool,
    registry: Registry,
    bus: Bus,
}

impl<'c> Scene<'c> {
    fn set(case: &'c Case) -> Result<Scene<'c>> {
        let folder = tempfile::tempdir()?;
        for (name, text) in &case.files {
            write_file(&folder.path().join("case").join(name), text)?;
        }
        let mut scene = Scene {
            case,
            info: PipelineInfo { path_data: folder.path().join("data"), ..PipelineInfo::default() },
            folder,
            support_escapes: false,
            ordered: true,
            registry: ferrostash::plugins::registry(),
            bus: Bus::default(),
        };
        case.settings.iter().try_for_each(|(name, value)| scene.set_one(name, value))?;
        Ok(scene)
    }

    fn set_one(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "pipeline.ecs_compatibility" => self.info.ecs = ecs(value)?,
            "pipeline.workers" => self.info.workers = value.parse()?,
            "pipeline.batch.size" => self.info.batch_size = value.parse()?,
            // `auto` keeps the order, since there is one worker.
            "pipeline.ordered" => self.ordered = value != "false",
            "config.support_escapes" => self.support_escapes = value == "true",
            // A setting of the process, not of a pipeline: in the recordings it changes nothing either.
            "config.field_reference.escape_style" => {}
            other => bail!("the setting {other} is not known here"),
        }
        Ok(())
    }

    fn case_folder(&self) -> String {
        self.folder.path().join("case").display().to_string()
    }

    /// The text of the case as it is given to the engine.
    fn text(&self, text: &str) -> String {
        text.replace("${CASE_DIR}", &self.case_folder())
    }

    fn sources(&self, config: &str) -> SourceMap {
        let mut sources = SourceMap::new();
        sources.add(Protocol::File, "/case/a.conf", self.text(config));
        sources
    }

    fn conf(&self, sources: &SourceMap, diagnostics: &mut Diagnostics) -> PipelineConf {
        let settings = ConfSettings { support_escapes: self.support_escapes };
        let vars = Vars::new().with_environment(self.case.env.iter().cloned());
        PipelineConf::parse(sources, settings, &vars, diagnostics)
    }

    fn refused(&self, diagnostics: &Diagnostics, sources: &SourceMap) -> Outcome {
        let report = diagnostics.render(sources, false);
        let sentence = match diagnostics.logstash_error() {
            Some(error) => format!("{}: {}", error.class, error.message),
            None => report.lines().next().unwrap_or_default().to_owned(),
        };
        Outcome::Refused { sentence, report }
    }

    /// Builds a whole pipeline and throws it away, after a look whether it could start.
    fn build_all(&self, config: &str) -> Outcome {
        match self.build(config).map(|built| built.check_start()) {
            Ok(Ok(())) => Outcome::Accepted,
            Ok(Err(failure)) => Outcome::Refused { sentence: failure.to_string(), report: String::new() },
            Err(refused) => refused,
        }
    }

    fn build(&self, config: &str) -> Result<BuiltPipeline, Outcome> {
        let (sources, mut diagnostics) = (self.sources(config), Diagnostics::new());
        let conf = self.conf(&sources, &mut diagnostics);
        let Scene { registry, info, bus, .. } = self;
        let parts = BuildParts { registry, pipeline: info, bus, sources: &sources };
        let built = ferrostash_pipeline::build(&conf, &parts, &mut diagnostics);
        built.filter(|_| !diagnostics.has_errors()).ok_or_else(|| self.refused(&diagnostics, &sources))
    }

    /// Takes the input through the filters, batch by batch, and asks them for what they keep.
    fn filter(&self, config: &str) -> Result<Outcome> {
        let mut built = match self.build(config) {
            Ok(built) => built,
            Err(refused) => return Ok(refused),
        };
        let (mut program, _) = Program::new(&mut built, self.ordered, FailedConditions::default());
        let mut waiting = self.input()?.into_iter();
        let mut events = Vec::new();
        loop {
            let batch: Vec<Event> = waiting.by_ref().take(self.info.batch_size).collect();
            if batch.is_empty() {
                break;
            }
            events.append(&mut program.run(batch).events);
        }
        events.append(&mut program.flush(true).events);
        self.events(&events)
    }

    /// The codec of a case, or why it was refused.
    fn codec(&self, text: &str) -> Result<Result<Box<dyn Codec>, Outcome>> {
        let text = if text.contains('{') { text.to_owned() } else { format!("{text} {{ }}") };
        let (sources, mut diagnostics) =
            (self.sources(&format!("input {{ x {{ codec => {text} }} }}")), Diagnostics::new());
        let conf = self.conf(&sources, &mut diagnostics);
        let block = conf.inputs.first().and_then(codec_block);
        let built = block.map(|block| self.registry.build(&block, &self.info, &self.bus, &mut diagnostics));
        match built {
            Some(Ok(built)) if !diagnostics.has_errors() => match built.maker {
                Maker::Codec(codec) => Ok(Ok(codec.for_stream())),
                _ => bail!("no codec"),
            },
            _ => Ok(Err(self.refused(&diagnostics, &sources))),
        }
    }

    fn decode(&self, codec: &str, bytes: &[u8]) -> Result<Outcome> {
        let mut codec = match self.codec(codec)? {
            Ok(codec) => codec,
            Err(refused) => return Ok(refused),
        };
        let mut events = Vec::new();
        codec.decode(bytes, &mut |event| events.push(event));
        codec.flush(&mut |event| events.push(event));
        self.events(&events)
    }

    fn encode(&self, codec: &str) -> Result<Outcome> {
        let mut codec = match self.codec(codec)? {
            Ok(codec) => codec,
            Err(refused) => return Ok(refused),
        };
        let mut entries = Vec::new();
        for event in self.input()? {
            let mut out = Vec::new();
            entries.push(match codec.encode(&event, &mut out) {
                Ok(()) => encoded::entry(out),
                Err(error) => Json::Map(vec![("exception".to_owned(), Json::Text(error.to_string()))]),
            });
        }
        Ok(Outcome::Encoded(entries))
    }

    /// The events of the case: a string is a line of text, a mapping what a JSON codec would have read.
    fn input(&self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        for entry in &self.case.input {
            match entry {
                Json::Text(line) => events.push(Event::from_message(&self.text(line), now())),
                other => {
                    let text = self.text(&other.to_string());
                    Event::read_json(&text, now(), &mut |event| events.push(event))
                        .with_context(|| text.clone())?;
                }
            }
        }
        Ok(events)
    }

    fn events(&self, events: &[Event]) -> Result<Outcome> {
        events.iter().map(|event| self.event(event)).collect::<Result<_>>().map(Outcome::Events)
    }

    /// An event in the recorded form: `_metadata` where the case asks for it, folders by their names.
    fn event(&self, event: &Event) -> Result<Json> {
        let mut out = Vec::new();
        event.write_json_with_metadata(&mut out);
        let text = String::from_utf8(out)
            .context("an event that is not UTF-8")?
            .replace(&self.case_folder(), "${CASE_DIR}");
        let mut json = Json::parse(&text).with_context(|| format!("an event that is no JSON: {text}"))?;
        if let Json::Map(entries) = &mut json {
            let at = entries.iter().position(|(key, _)| key == "@metadata");
            let metadata = at.map_or(Json::Map(Vec::new()), |at| entries.remove(at).1);
            if self.case.metadata {
                entries.push(("_metadata".to_owned(), metadata));
            }
        }
        Ok(json)
    }
}

/// The class of Logstash's complaint about values that its parser takes and the making of a plugin doesn't.
const LATER_THAN_PARSING: &str = "Java::JavaLang::IllegalStateException";

/// Grammar and structure are asked, no plugin is looked up.
fn parse(scene: &Scene<'_>, config: &str) -> Outcome {
    let (sources, mut diagnostics) = (scene.sources(config), Diagnostics::new());
    for source in sources.iter() {
        match grammar::parse(source) {
            Ok(document) => _ = lower::lower(&document, source, scene.support_escapes, &mut diagnostics),
            Err(diagnostic) => diagnostics.push(*diagnostic),
        }
    }
    let mut of_the_parser = Diagnostics::new();
    let is_later = |diagnostic: &&Diagnostic| {
        diagnostic.logstash.as_ref().is_some_and(|error| error.class == LATER_THAN_PARSING)
    };
    diagnostics.iter().filter(|it| !is_later(it)).for_each(|it| of_the_parser.push(it.clone()));
    match of_the_parser.has_errors() {
        true => scene.refused(&of_the_parser, &sources),
        false => Outcome::Accepted,
    }
}

fn codec_block(input: &PluginBlock) -> Option<PluginBlock> {
    match &input.option("codec")?.value.kind {
        ConfKind::Plugin(block) => Some((**block).clone()),
        ConfKind::Text(name) => Some(PluginBlock::bare(PluginKind::Codec, name, input.span)),
        _ => None,
    }
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    std::fs::create_dir_all(path.parent().context("no folder")?)?;
    Ok(std::fs::write(path, text)?)
}

fn ecs(value: &str) -> Result<Ecs> {
    Ok(match value {
        "disabled" => Ecs::Disabled,
        "v1" => Ecs::V1,
        "v8" => Ecs::V8,
        other => bail!("no ECS mode: {other}"),
    })
}
