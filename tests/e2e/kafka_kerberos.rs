//! Login by Kerberos with a real KDC and a real Kafka. Debian: krb5-kdc, krb5-admin-server, krb5-user.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ferrostash_tier::Kafka;

use crate::harness::{Ferrostash, Start};

const EVENTS: u64 = 20;

/// A Kafka whose KDC is its own.
struct Realm {
    kafka: Kafka,
}

impl Realm {
    fn start() -> Realm {
        Realm { kafka: Kafka::start(1, &["--kerberos"]).unwrap() }
    }

    fn said(&self, key: &str) -> &str {
        self.kafka.announced(key).unwrap()
    }

    /// The options of a kafka plugin whose login module has these.
    fn options(&self, module: &str) -> String {
        format!(
            r#"bootstrap_servers => '{}' security_protocol => SASL_PLAINTEXT sasl_mechanism => GSSAPI
               sasl_kerberos_service_name => {} kerberos_config => '{}'
               sasl_jaas_config => 'com.sun.security.auth.module.Krb5LoginModule required {module};'"#,
            self.said("KERBEROS_ADDRESS"),
            self.said("KERBEROS_SERVICE"),
            self.said("KRB5_CONFIG")
        )
    }

    fn keytab(&self, principal: &str) -> String {
        let keytab = self.said("CLIENT_KEYTAB");
        format!(r#"useKeyTab=true storeKey=true keyTab="{keytab}" principal="{principal}""#)
    }

    /// A process to come, with a ticket cache.
    fn process(&self, config: String, cache: &str) -> Start {
        Start::pipeline(&["-e"])
            .arg(config)
            .env("KRB5_CONFIG", self.said("KRB5_CONFIG"))
            .env("KRB5CCNAME", cache)
    }

    /// A program of MIT Kerberos on a ticket cache, and what it says.
    fn run(&self, program: &str, arguments: &[&str], cache: &str) -> String {
        let mut command = Command::new(program);
        command.args(arguments).env("KRB5_CONFIG", self.said("KRB5_CONFIG")).env("KRB5CCNAME", cache);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a process reads of what another one has written, each started by `process`.
    fn round_trip(&self, topic: &str, options: &str, process: impl Fn(String) -> Start) {
        let written = process(format!(
            "input {{ generator {{ count => {EVENTS} message => 'x' }} }} output {{ kafka {{ topic_id => '{topic}'
               acks => all {options} codec => plain {{ format => '%{{[event][sequence]}}' }} }} }}"
        ))
        .finish();
        assert_eq!(written.code, Some(0), "{topic}: {}", written.said());
        assert!(!written.said().contains("ERROR"), "{topic}: {}", written.said());
        let mut reader = process(format!(
            "input {{ kafka {{ topics => ['{topic}'] group_id => '{topic}' auto_offset_reset => earliest {options} }} }}
             output {{ stdout {{ codec => json_lines }} }}"
        ))
        .start();
        let number = |event: &serde_json::Value| event["message"].as_str().unwrap().parse().unwrap();
        let mut numbers: Vec<u64> = reader.events_at_least(EVENTS as usize).iter().map(number).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(0..EVENTS), "{topic}: {numbers:?}");
        reader.stop();
    }
}

fn cache(folder: &Path, name: &str) -> String {
    format!("FILE:{}", folder.join(name).display())
}

fn lines_with(process: &Ferrostash, words: &str) -> usize {
    process.said().lines().filter(|line| line.contains(words)).count()
}

#[test]
#[ignore = "needs java, maven and MIT Kerberos: cargo test --features kafka-gssapi --test e2e -- --ignored"]
fn events_go_through_kerberos() {
    let realm = Realm::start();
    let folder = tempfile::tempdir().unwrap();
    let client = realm.said("CLIENT_PRINCIPAL");

    // A keytab: each process gets its tickets by itself.
    let made = cache(folder.path(), "made");
    let by_keytab = realm.options(&realm.keytab(client));
    realm.round_trip("keytab", &by_keytab, |config| realm.process(config, &made));
    assert!(realm.run("klist", &[], &made).contains(client));

    // A ticket cache that somebody else has filled; with renewal, and without.
    let filled = cache(folder.path(), "filled");
    realm.run("kinit", &["-r", "1h", "-k", "-t", realm.said("CLIENT_KEYTAB"), client], &filled);
    let by_cache = realm.options("useTicketCache=true");
    realm.round_trip("cache", &by_cache, |config| realm.process(config, &filled));
    let renewing = realm.options("useTicketCache=true renewTicket=true serviceName=\"kafka\"");
    realm.round_trip("renewed", &renewing, |config| realm.process(config, &filled));

    // No program at all: the library takes tickets by the keytab of the environment, and keeps them in memory.
    realm.round_trip("memory", &by_cache, |config| {
        realm
            .process(config, "MEMORY:")
            .env("KRB5_CLIENT_KTNAME", realm.said("CLIENT_KEYTAB"))
            .env("PATH", "")
    });

    // A principal that the keytab has no key of; no ticket at all; a service that the KDC does not know.
    let nobody = realm.keytab("nobody@TEST.FERROSTASH");
    let other_service = by_keytab.replace("service_name => kafka", "service_name => other");
    for (name, options, words) in [
        ("nobody", realm.options(&nobody), "Kerberos ticket refresh failed"),
        ("empty", by_cache.clone(), "No Kerberos credentials available"),
        ("service", other_service, "not found in Kerberos database"),
    ] {
        let config = format!(
            "input {{ kafka {{ topics => ['keytab'] group_id => '{name}' {options} }} }} output {{ sink {{}} }}"
        );
        let mut process = realm.process(config, &cache(folder.path(), name)).start();
        process.wait_for(words);
        // The brokers' refusal comes again and again, but is said with pauses.
        process.wait_for("SASL handshake failed");
        // Long enough for a hundred attempts without a pause.
        std::thread::sleep(Duration::from_secs(3));
        assert!(lines_with(&process, "SASL handshake failed") < 10, "{name}: {}", process.said());
        let ended = process.stop();
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.said());
    }
}
