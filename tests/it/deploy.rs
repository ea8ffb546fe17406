//! The files that others read: `docker-compose.yml` and `deploy/`. That they are YAML, and that names fit together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Start, root};

fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|extension| extension.to_str()) {
            _ if path.is_dir() => found.extend(yaml_files(&path)),
            Some("yml" | "yaml") => found.push(path),
            _ => {}
        }
    }
    found
}

fn compose() -> Value {
    documents(&root().join("docker-compose.yml")).remove(0)
}

/// The objects of `deploy/kubernetes` by kind.
fn kubernetes() -> BTreeMap<String, Value> {
    let objects = yaml_files(&root().join("deploy/kubernetes")).into_iter().flat_map(|path| documents(&path));
    objects.map(|object| (object["kind"].as_str().unwrap().to_owned(), object)).collect()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.unwrap_or_else(|| panic!("no list {pointer} in {value:#}"))
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {value:#}"))
}

/// The names in `${NAME}` and `${NAME:default}`.
fn variables(conf: &str) -> BTreeSet<&str> {
    conf.split("${").skip(1).map(|rest| rest.split(['}', ':']).next().unwrap()).collect()
}

#[test]
fn every_file_is_yaml() {
    let files = yaml_files(&root().join("deploy"));
    assert!(files.len() >= 8, "{files:?}");
    for path in files.iter().chain([&root().join("docker-compose.yml")]) {
        assert!(!documents(path).is_empty(), "{}", path.display());
    }
}

#[test]
fn services_of_compose_fit_together() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    let volumes: BTreeSet<&str> =
        compose["volumes"].as_object().unwrap().keys().map(String::as_str).collect();
    for (name, service) in services {
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let other = services.get(other).unwrap_or_else(|| panic!("{name} waits for {other}"));
            assert!(how["condition"] != "service_healthy" || other["healthcheck"].is_object(), "{name}");
        }
        for mount in service["volumes"].as_array().into_iter().flatten() {
            let source = mount.as_str().unwrap().split(':').next().unwrap();
            let is_there = volumes.contains(source) || root().join(source).is_file();
            assert!(is_there, "{name} mounts {source}");
        }
        if let Some(build) = service["build"].as_str() {
            assert!(root().join(build).join("Dockerfile").is_file(), "{name} builds {build}");
        }
    }
    // The demo starts as it always did: what has a profile is not started with it.
    let without = services.iter().filter(|(_, service)| service["profiles"].is_null());
    let demo: BTreeSet<&str> = without.map(|(name, _)| name.as_str()).collect();
    assert_eq!(demo, BTreeSet::from(["demo-app", "elasticsearch", "ferrostash", "kibana"]));
}

#[test]
fn the_tier_of_compose_reads_what_is_written() {
    let services = compose()["services"].clone();
    let tier = &services["kafka-tier"];
    let environment = &tier["environment"];
    assert_eq!(tier["image"], services["ferrostash"]["image"]);
    assert_eq!(tier["deploy"]["replicas"], 3);
    let words = |service: &str| services[service]["command"].to_string();
    let topic = text(environment, "/KAFKA_TOPIC");
    for service in ["kafka-topic", "kafka-producer"] {
        assert!(words(service).contains(topic) && words(service).contains("kafka:9092"), "{service}");
    }
    assert_eq!(environment["KAFKA_SERVERS"], "kafka:9092");
    assert_eq!(services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"], "PLAINTEXT://kafka:9092");
    // Each variable is one that the pipeline asks for, and the mounted file is the one that is run.
    let conf = std::fs::read_to_string(root().join("conf/kafka-tier.conf")).unwrap();
    for name in environment.as_object().unwrap().keys() {
        assert!(variables(&conf).contains(name.as_str()), "{name}");
    }
    let inside = text(tier, "/volumes/0").split(':').nth(1).unwrap();
    assert_eq!(tier["command"], json!(["-f", inside]));
}

#[test]
fn objects_of_kubernetes_fit_together() {
    let objects = kubernetes();
    let (deployment, service) = (&objects["Deployment"], &objects["Service"]);
    let pod = &deployment["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    // Who is meant by whom.
    let labels = &pod["metadata"]["labels"];
    for selector in [
        &deployment["spec"]["selector"]["matchLabels"],
        &service["spec"]["selector"],
        &objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        &pod["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ] {
        assert_eq!(selector, labels);
    }
    let scaled = &objects["ScaledObject"]["spec"];
    assert_eq!(scaled["scaleTargetRef"]["name"], deployment["metadata"]["name"]);
    assert_eq!(deployment["spec"]["replicas"], Value::Null, "the number is the scaler's");
    let resources: BTreeSet<&str> =
        list(&objects["Kustomization"], "/resources").iter().map(|name| name.as_str().unwrap()).collect();
    let there = yaml_files(&root().join("deploy/kubernetes"));
    let there: BTreeSet<&str> =
        there.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(&resources | &BTreeSet::from(["kustomization.yaml"]), there);
    assert_eq!(objects["Kustomization"]["images"][0]["name"], container["image"]);
    // The port, by one name everywhere.
    let port = &container["ports"][0];
    let settings: Value = serde_saphyr::from_str(text(&objects["ConfigMap"], "/data/logstash.yml")).unwrap();
    assert_eq!((&port["containerPort"], &settings["api.http.port"]), (&json!(9600), &json!(9600)));
    for named in [
        &service["spec"]["ports"][0]["targetPort"],
        &container["livenessProbe"]["httpGet"]["port"],
        &container["readinessProbe"]["httpGet"]["port"],
    ] {
        assert_eq!(named, &port["name"]);
    }
    for annotated in [&pod["metadata"]["annotations"], &service["metadata"]["annotations"]] {
        assert_eq!(annotated["prometheus.io/port"], "9600");
        assert_eq!(annotated["prometheus.io/path"], "/metrics");
    }
    // Longer than the grace time of outputs, ten seconds.
    assert!(pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap() >= 20);
    assert_eq!(pod["spec"]["securityContext"]["runAsUser"], 1000, "the user of the Dockerfile");
    // What is mounted is there.
    let volumes = list(pod, "/spec/volumes");
    for mount in list(container, "/volumeMounts") {
        assert!(volumes.iter().any(|volume| volume["name"] == mount["name"]), "{mount}");
    }
    let secret = objects["Secret"]["stringData"].as_object().unwrap();
    for reference in list(&objects["TriggerAuthentication"], "/spec/secretTargetRef") {
        assert!(secret.contains_key(text(reference, "/key")), "{reference}");
    }
}

#[test]
fn the_pipeline_of_kubernetes_passes_the_check() {
    let objects = kubernetes();
    let container = &objects["Deployment"]["spec"]["template"]["spec"]["containers"][0];
    let (config, secret) = (&objects["ConfigMap"]["data"], &objects["Secret"]["stringData"]);
    let start = Start::plain(&["-t"]);
    let authority = start.file("certs/ca.pem", AUTHORITY);
    let folder = start.folder().to_owned();
    let conf =
        text(config, "/kafka.conf").replace("/usr/share/logstash/certs/ca.pem", authority.to_str().unwrap());
    start.file("pipeline/kafka.conf", &conf);
    start.file("config/logstash.yml", text(config, "/logstash.yml"));
    let pipelines = text(config, "/pipelines.yml").replace("/usr/share/logstash", folder.to_str().unwrap());
    start.file("config/pipelines.yml", pipelines);
    let mut start = start;
    let mut set = BTreeSet::new();
    for variable in list(container, "/env") {
        let value = match variable["value"].as_str() {
            Some(value) => value.to_owned(),
            None => text(secret, &format!("/{}", text(variable, "/valueFrom/secretKeyRef/key"))).to_owned(),
        };
        set.insert(text(variable, "/name"));
        start = start.env(text(variable, "/name"), value);
    }
    assert_eq!(variables(&conf), set, "each variable is set, and each that is set is used");
    let finished = start.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.contains("Configuration OK"), "{finished:?}");
}

/// A certificate in place of the one that stands in the secret.
const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----\n\
MIIBezCCASGgAwIBAgIUAc6OEuQiQZrVr0o6PaubEvMJS9cwCgYIKoZIzj0EAwIw\n\
EjEQMA4GA1UEAwwHZXhhbXBsZTAgFw0yNjExMjIwMzM1NTBaGA8yMTI2MTAyOTAz\n\
MzU1MFowEjEQMA4GA1UEAwwHZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n\
A0IABLwZmgUAtNLnMyJ/b0fkHLFgAKNFaHikj+64yEIW5SDk1MGPfI+6Bez2h3aF\n\
UN+WAMAqrKCOTEqnp+pZeTd3r9mjUzBRMB0GA1UdDgQWBBTerqKZgH/EoYI8WmUf\n\
5NPZ7+kZiDAfBgNVHSMEGDAWgBTerqKZgH/EoYI8WmUf5NPZ7+kZiDAPBgNVHRMB\n\
Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQCg6EBdxk2dubGuGq3fw1jqp+Ee\n\
kgmTXZjMJkZQDozWNQIgNcPwnhNFIEQRdgVlE2o+mKVP9BErZ5XgHN3ALiCCwKE=\n\
-----END CERTIFICATE-----\n";
