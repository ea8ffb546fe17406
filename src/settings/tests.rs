use super::*;

/// A settings folder with these files, and a clean environment.
struct Case {
    dir: tempfile::TempDir,
    inputs: Inputs,
}

fn case(logstash_yml: &str) -> Case {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("logstash.yml"), logstash_yml).unwrap();
    let mut inputs = Inputs::default();
    inputs.flags.push(Flag {
        setting: "path.settings".into(),
        value: dir.path().display().to_string(),
        flag: "--path.settings".into(),
    });
    Case { dir, inputs }
}

impl Case {
    fn flag(mut self, setting: &str, value: &str) -> Self {
        self.inputs.flags.push(Flag {
            setting: setting.into(),
            value: value.into(),
            flag: format!("--{setting}"),
        });
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.inputs.env.insert(name.into(), value.into());
        self
    }

    fn pipelines_yml(self, text: &str) -> Self {
        std::fs::write(self.dir.path().join("pipelines.yml"), text).unwrap();
        self
    }

    fn settings(&self) -> Settings {
        Settings::load(&self.inputs).map_err(|e| e.to_string()).unwrap().value
    }

    fn warnings(&self) -> Vec<String> {
        let loaded = Settings::load(&self.inputs).map_err(|e| e.to_string()).unwrap();
        loaded.warnings.iter().map(Problem::one_line).collect()
    }

    /// The report, with the folder's name taken out.
    fn errors(&self) -> String {
        self.hide(&Settings::load(&self.inputs).unwrap_err().to_string())
    }

    fn pipelines(&self) -> Vec<PipelineSettings> {
        self.settings().pipelines(&self.inputs).map_err(|e| e.to_string()).unwrap().value
    }

    fn pipeline_errors(&self) -> String {
        self.hide(&self.settings().pipelines(&self.inputs).unwrap_err().to_string())
    }

    fn hide(&self, text: &str) -> String {
        text.replace(&self.dir.path().display().to_string(), "DIR")
    }
}

#[test]
fn defaults_are_logstash_s() {
    let settings = case("").settings();
    assert_eq!(settings.pipeline.batch_size, 125);
    assert_eq!(settings.pipeline.batch_delay, Duration::from_millis(50));
    assert_eq!(settings.pipeline.workers, None);
    assert_eq!(settings.pipeline.ecs_compatibility, EcsCompatibility::V8);
    assert_eq!(settings.pipeline.queue.max_bytes, 1 << 30);
    assert_eq!(settings.pipeline.queue.path, Path::new("data/queue"));
    assert_eq!((settings.api.port_first, settings.api.port_last), (9600, 9700));
    assert_eq!(settings.reload_interval, Duration::from_secs(3));
    assert_eq!(settings.log.folder, None);
    assert!(!settings.node_name.is_empty());
}

#[test]
fn flag_over_environment_over_file_over_default() {
    let all = case("pipeline.workers: 2\npipeline.batch.size: 2\npipeline.batch.delay: 2\n")
        .env("PIPELINE_WORKERS", "3")
        .env("pipeline.batch.size", "3")
        .flag("pipeline.workers", "4");
    let settings = all.settings();
    assert_eq!(settings.pipeline.workers, Some(4));
    assert_eq!(settings.pipeline.batch_size, 3);
    assert_eq!(settings.pipeline.batch_delay, Duration::from_millis(2));
    assert_eq!(settings.origin("pipeline.workers").as_deref(), Some("flag --pipeline.workers"));
    assert_eq!(
        settings.origin("pipeline.batch.size").as_deref(),
        Some("environment variable pipeline.batch.size")
    );
    assert!(settings.origin("pipeline.batch.delay").unwrap().ends_with("logstash.yml:3:23"));
    assert_eq!(settings.origin("log.level"), None);
}

#[test]
fn nested_and_dotted_keys_mix() {
    let settings =
        case("pipeline:\n  workers: 2\n  batch.size: 7\nlog.format: json\nlog:\n  level: debug\n").settings();
    assert_eq!((settings.pipeline.workers, settings.pipeline.batch_size), (Some(2), 7));
    assert_eq!((settings.log.level, settings.log.format), (LogLevel::Debug, LogFormat::Json));
}

#[test]
fn a_value_may_be_the_prefix_of_another_name() {
    let settings = case("log.format: json\nlog.format.json.fix_duplicate_message_fields: false\n").settings();
    assert_eq!(settings.log.format, LogFormat::Json);
    assert!(!settings.log.fix_duplicate_message_fields);
}

#[test]
fn variables_are_replaced_and_refined() {
    let yml = "pipeline.workers: ${W}\nnode.name: \"n-${N:'x'}\"\npath.logs: ${LOGS:}\nqueue.max_bytes: ${Q:'2gb'}\n";
    let settings = case(yml).env("W", "\"5\"").settings();
    assert_eq!(settings.pipeline.workers, Some(5));
    assert_eq!(settings.node_name, "n-'x'");
    assert_eq!(settings.pipeline.queue.max_bytes, 2 << 30);
}

#[test]
fn an_unknown_key_has_line_caret_suggestion_and_logstash_s_sentence() {
    assert_eq!(
        case("log.level: info\npipeline.worker: 2\n").errors(),
        "\
error: unknown setting `pipeline.worker`
 --> DIR/logstash.yml:2:1
  |
2 | pipeline.worker: 2
  | ^^^^^^^^^^^^^^^ did you mean `pipeline.workers`?
Your settings are invalid. Reason: Setting \"pipeline.worker\" doesn't exist. Please check if you haven't made a typo.
"
    );
}

#[test]
fn all_errors_come_at_once() {
    let errors =
        case("log.level: loud\nhttp.port: 9600\npipeline:\n  separate_logs: true\nnode.name: ${NOBODY}\n")
            .env("PIPELINE_BATCH_SIZE", "many")
            .flag("pipeline.workers", "0")
            .errors();
    for part in [
        "invalid value for setting `log.level`: `loud` is not one of `fatal`",
        "unknown setting `http.port`",
        "removed in Logstash 9.0: write `api.http.port`",
        "setting `pipeline.separate_logs` is not supported by ferrostash: one log file per pipeline is not built yet",
        "logstash.yml:4:18",
        "Replacement variable `NOBODY` is not defined",
        "`many` is not a whole number above 0",
        "set by the environment variable PIPELINE_BATCH_SIZE",
        "set by the flag --pipeline.workers",
    ] {
        assert!(errors.contains(part), "{part}\nis not in\n{errors}");
    }
}

#[test]
fn a_wrong_value_is_reported_even_where_a_flag_hides_it() {
    assert!(case("pipeline.workers: x\n").flag("pipeline.workers", "2").errors().contains("`x` is not"));
    assert!(case("log.level: warm\n").errors().contains("did you mean `warn`?"));
    assert!(case("pipeline.workers:\n").settings().pipeline.workers.is_none());
    assert!(case("log.level:\n").errors().contains("no value"));
}

#[test]
fn what_is_not_built_is_refused_unless_it_has_its_default() {
    for refused in [
        "api.ssl.enabled: true",
        "api.auth.type: basic",
        "xpack.management.enabled: true",
        "monitoring.enabled: true",
        "otel.metrics.enabled: true",
        "path.plugins: [/x]",
        "version: true",
    ] {
        assert!(case(refused).errors().contains("is not supported by ferrostash"), "{refused}");
    }
    let quiet = "xpack.monitoring.enabled: false\nxpack.monitoring.elasticsearch.hosts: [\"http://es:9200\"]\n\
        queue.type: memory\npipeline.plugin_classloaders: false\n";
    assert_eq!(case(quiet).warnings(), [""; 0]);
}

#[test]
fn what_has_no_meaning_here_gives_one_warning() {
    let warnings = case("pipeline.buffer.type: direct\n").warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("`pipeline.buffer.type` has no effect: there is no Java"), "{warnings:?}");
    assert_eq!(case("log.level: info\nlog:\n  level: warn\n").warnings().len(), 1);
}

#[test]
fn a_missing_file_is_a_warning() {
    let missing = case("");
    std::fs::remove_file(missing.dir.path().join("logstash.yml")).unwrap();
    assert!(missing.warnings()[0].contains("could not find"));
}

#[test]
fn broken_yaml_and_wrong_shapes() {
    assert!(case("a: [1\nb: 2\n").errors().contains("not valid YAML"));
    assert!(case("- a\n").errors().contains("has to be a map"));
    assert!(case("config.reload.interval: 3\n").errors().contains("has no unit: write `3s`"));
    assert!(case("config.reload.interval: 0s\n").errors().contains("longer than 0"));
}

#[test]
fn conflicts() {
    let both = case("path.config: /x\n").flag("config.string", "input {}").errors();
    assert!(both.contains("can't be used simultaneously"), "{both}");
    let reload = case("").flag("config.string", "").flag("config.reload.automatic", "true").errors();
    assert!(reload.contains("Configuration reloading can't be used with 'config.string' (-e)."), "{reload}");
    let ordered = case("pipeline.ordered: true\npipeline.workers: 2\n").errors();
    assert!(ordered.contains("requires the use of a single pipeline worker"), "{ordered}");
    assert!(case("pipeline.ordered: auto\npipeline.workers: 1\n").settings().pipeline.is_ordered());
}

#[test]
fn debug_does_not_show_configurations() {
    let settings =
        case("config.string: \"input { x { password => '${P}' } }\"\n").env("P", "s3cret").settings();
    assert!(settings.pipeline.config_string.as_ref().unwrap().as_str().contains("s3cret"));
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[test]
fn pipelines_inherit_and_override() {
    let pipelines = case("pipeline.workers: 2\npipeline.batch.size: 10\n")
        .env("MSG", "hi")
        .pipelines_yml(
            "- pipeline.id: one\n  path.config: /etc/one.conf\n  pipeline.workers: 3\n\
             - pipeline.id: 2\n  queue.max_bytes: 1mb\n  config.string: |\n    # ${MSG}\n    input { stdin {} }\n",
        )
        .pipelines();
    assert_eq!(pipelines.len(), 2);
    assert_eq!((pipelines[0].workers, pipelines[0].batch_size), (Some(3), 10));
    assert_eq!((pipelines[1].id.as_str(), pipelines[1].workers), ("2", Some(2)));
    assert_eq!(pipelines[1].config_string.as_ref().unwrap().as_str(), "# hi\ninput { stdin {} }\n");
    assert_eq!(case("").pipelines_yml("[]").pipelines(), []);
}

#[test]
fn pipelines_yml_is_ignored_when_a_configuration_is_given() {
    let given = case("").pipelines_yml("not a list").flag("path.config", "/x.conf");
    let loaded = given.settings().pipelines(&given.inputs).unwrap();
    assert_eq!(loaded.value[0].path_config.as_deref(), Some("/x.conf"));
    assert!(loaded.warnings[0].message().starts_with("Ignoring the 'pipelines.yml' file"));
}

#[test]
fn pipelines_yml_reports_everything_at_once() {
    let errors = case("")
        .pipelines_yml(
            "- pipeline.id: a\n  path.config: /a\n  log.level: debug\n  pipeline.worker: 1\n\
             - pipeline.id: b\n  path.config: /b\n  queue.type: persistent\n\
             - pipeline:\n    id: c\n  path.config: ${GONE}\n\
             - pipeline.id: d\n\
             - pipeline.id: e\n  path.config: /e\n- pipeline.id: e\n  path.config: /e2\n- text\n",
        )
        .pipeline_errors();
    for part in [
        "setting `log.level` cannot be set for a pipeline",
        "Only pipeline related settings are expected. Received \"log.level\". Allowed settings: [",
        "did you mean `pipeline.workers`?",
        "invalid value for setting `queue.type`: `persistent` is not one of `memory`, `persisted`",
        "nested maps don't work here: write `pipeline.…: value`",
        "Replacement variable `GONE` is not defined",
        "pipeline `d` has no configuration",
        "two pipelines have the id `e`",
        "duplicate pipeline ids: [\"e\"]. Location: DIR/pipelines.yml",
        "a pipeline has to be a map of settings",
    ] {
        assert!(errors.contains(part), "{part}\nis not in\n{errors}");
    }
}

#[test]
fn pipelines_yml_of_the_wrong_shape() {
    let errors = |text: &str| case("").pipelines_yml(text).pipeline_errors();
    assert!(
        errors("a: 1\n")
            .contains("must contain an array of pipeline configs. Found \"Hash\" in DIR/pipelines.yml")
    );
    assert!(errors("# nothing\n").contains("Pipelines YAML file is empty. Location: DIR/pipelines.yml"));
    assert!(errors("- a: [\n").contains("Failed to parse contents of pipelines yaml file. Location: DIR"));
    assert!(
        case("")
            .pipeline_errors()
            .contains("Failed to read pipelines yaml file. Location: DIR/pipelines.yml")
    );
}

#[test]
fn reload_settings_of_a_pipeline_are_dropped_with_a_warning() {
    let old = case("").pipelines_yml("- path.config: /a\n  config.reload.automatic: true\n");
    let loaded = old.settings().pipelines(&old.inputs).unwrap();
    assert_eq!(loaded.value[0].id, "main");
    assert!(loaded.warnings[0].message().contains("config.reload.automatic"));
}
