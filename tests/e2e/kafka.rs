//! A group of processes reads a topic, and something happens to them or to Kafka: nothing is lost, and what comes twice is bounded.
//!
//! Elasticsearch is a stand-in, which knows when each document came and how often.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ferrostash_tier::{
    Account, Arrivals, COMMIT_INTERVAL, Elasticsearch, Group, Kafka, Member, Pace, Plan, Produced, Producer,
    Setup, Sharing,
};

use serde_json::Value;

use crate::harness::conf;

/// Events per second.
const RATE: u64 = 1_000;
/// How long a group may take for what is left at the end.
const REST_TIME_MAX: Duration = Duration::from_secs(40);
/// How long others may take beyond the session's time until they deliver what a dead member had.
const TAKE_OVER_TIME_MAX: Duration = Duration::from_secs(3);
/// What may be under way to the outputs, beside what is not committed: a builder's machine is slow.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// The cluster of one broker that these tests take turns with. It ends with the process of the tests.
static KAFKA: Mutex<Option<Kafka>> = Mutex::new(None);

struct Turn(MutexGuard<'static, Option<Kafka>>);

impl Turn {
    fn take() -> Turn {
        let mut turn = KAFKA.lock().unwrap_or_else(PoisonError::into_inner);
        if turn.is_none() {
            *turn = Some(Kafka::start(1, &[]).unwrap());
        }
        Turn(turn)
    }

    fn kafka(&self) -> &Kafka {
        self.0.as_ref().unwrap()
    }
}

fn setup(name: &str, sharing: Sharing) -> Setup {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_ferrostash"));
    Setup { program, name: name.to_owned(), partitions: 6, sharing, has_ids: true }
}

/// What may come again after members were cut off so many times: what they had delivered since their last commit.
fn repeated_max(cut_off: u64) -> u64 {
    cut_off * RATE * u64::try_from((COMMIT_INTERVAL + UNDER_WAY).as_millis()).unwrap() / 1000
}

fn nothing_is_lost(account: &Account, repeated_max: u64) {
    println!("{account}");
    assert!(account.produced > RATE, "too little to say anything: {account}");
    assert!(account.lost.is_empty(), "{account}");
    assert_eq!(account.duplicates, 0, "{account}");
    assert!(account.repeated <= repeated_max, "at most {repeated_max}: {account}");
}

/// How long the longest event took that was produced within this time.
fn longest_between(arrivals: &Arrivals, produced: &Produced, from: Instant, to: Instant) -> Duration {
    let way = |(number, sent): (u64, &Instant)| {
        (from..to).contains(sent).then(|| arrivals.first_arrival(number).unwrap().duration_since(*sent))
    };
    (0..).zip(&produced.times).filter_map(way).max().unwrap()
}

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn a_member_that_is_killed_is_replaced_by_the_others_with_the_classic_protocol() {
    a_member_that_is_killed_is_replaced("kill-classic", Sharing::Cooperative);
}

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn a_member_that_is_killed_is_replaced_by_the_others_with_the_consumer_protocol() {
    a_member_that_is_killed_is_replaced("kill-consumer", Sharing::Consumer);
}

fn a_member_that_is_killed_is_replaced(name: &str, sharing: Sharing) {
    let turn = Turn::take();
    let mut group = Group::new(turn.kafka(), setup(name, sharing)).unwrap();
    group.add(3).unwrap();
    let producer = Producer::start(turn.kafka(), name, Pace::of(RATE)).unwrap();
    group.wait_until_all_work().unwrap();
    group.run_for(Duration::from_secs(2)).unwrap();
    let killed = Instant::now();
    group.take(1).unwrap().kill().unwrap();
    let others_have_it = Sharing::SESSION + TAKE_OVER_TIME_MAX;
    group.run_for(others_have_it).unwrap();
    let produced = producer.finish().unwrap();
    group.arrivals.wait_for(&produced, REST_TIME_MAX).unwrap();
    let longest = longest_between(&group.arrivals, &produced, killed, Instant::now());
    println!("the longest of what came after the kill: {longest:?}");
    assert!(longest <= others_have_it, "{longest:?}");
    let account = group.finish(&produced, REST_TIME_MAX).unwrap();
    nothing_is_lost(&account, repeated_max(1));
}

/// What comes of a proper stop is committed before others go on: nothing comes twice, also without ids.
#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn members_come_and_go_and_nothing_comes_twice() {
    let turn = Turn::take();
    for sharing in Sharing::ALL {
        let name = format!("come-and-go-{sharing:?}");
        let setup = Setup { has_ids: false, ..setup(&name, sharing) };
        let mut group = Group::new(turn.kafka(), setup).unwrap();
        group.add(1).unwrap();
        let producer = Producer::start(turn.kafka(), &name, Pace::of(RATE)).unwrap();
        group.wait_until_all_work().unwrap();
        group.add(2).unwrap();
        group.wait_until_all_work().unwrap();
        group.run_for(Duration::from_secs(1)).unwrap();
        group.take(0).unwrap().stop().unwrap();
        group.run_for(Duration::from_secs(1)).unwrap();
        let produced = producer.finish().unwrap();
        let account = group.finish(&produced, REST_TIME_MAX).unwrap();
        print!("{sharing:?}: ");
        nothing_is_lost(&account, 0);
    }
}

/// A static member is back before the group misses it: its partitions stay its own.
#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn a_member_with_a_name_comes_back_without_a_rebalance() {
    let turn = Turn::take();
    let mut group = Group::new(turn.kafka(), setup("static", Sharing::Static)).unwrap();
    group.add(2).unwrap();
    let producer = Producer::start(turn.kafka(), "static", Pace::of(RATE)).unwrap();
    group.wait_until_all_work().unwrap();
    group.run_for(Duration::from_secs(1)).unwrap();
    let rebalances = |member: &Member| {
        let stats = member.stats("/_node/stats/pipelines/main").unwrap();
        stats["pipelines"]["main"]["plugins"]["inputs"][0]["rebalances"].as_u64().unwrap()
    };
    let before = rebalances(&group.members[1]);
    let member = group.take(0).unwrap();
    let name = member.name().to_owned();
    member.stop().unwrap();
    group.add_again(&name).unwrap();
    group.wait_until_all_work().unwrap();
    assert_eq!(rebalances(&group.members[0]), before, "the other one has noticed nothing");
    let produced = producer.finish().unwrap();
    nothing_is_lost(&group.finish(&produced, REST_TIME_MAX).unwrap(), 0);
}

/// A member hangs until the group has given its partitions to others, and goes on as if nothing had been: what it delivers and
/// commits then does no harm.
#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn a_member_that_was_frozen_does_no_harm_when_it_thaws() {
    let turn = Turn::take();
    for (name, sharing) in [("zombie", Sharing::Cooperative), ("zombie-consumer", Sharing::Consumer)] {
        let mut group = Group::new(turn.kafka(), setup(name, sharing)).unwrap();
        group.add(3).unwrap();
        let producer = Producer::start(turn.kafka(), name, Pace::of(RATE)).unwrap();
        group.wait_until_all_work().unwrap();
        let frozen = group.take(0).unwrap();
        frozen.freeze().unwrap();
        group.run_for(Sharing::SESSION + Duration::from_secs(2)).unwrap();
        frozen.thaw().unwrap();
        group.members.push(frozen);
        // It is a member again.
        group.wait_until_all_work().unwrap();
        let produced = producer.finish().unwrap();
        let account = group.finish(&produced, REST_TIME_MAX).unwrap();
        print!("{sharing:?}: ");
        nothing_is_lost(&account, repeated_max(1));
    }
}

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn brokers_are_restarted_and_killed() {
    // One after the other: three brokers more are much for a builder's machine.
    let _turn = Turn::take();
    let kafka = Kafka::start(3, &[]).unwrap();
    let mut group = Group::new(&kafka, setup("brokers", Sharing::Cooperative)).unwrap();
    group.add(2).unwrap();
    let producer = Producer::start(&kafka, "brokers", Pace::of(RATE)).unwrap();
    group.wait_until_all_work().unwrap();
    let restarted = 1 + kafka.leader("brokers", 0).unwrap() % 3;
    kafka.stop(restarted).unwrap();
    kafka.start_again(restarted).unwrap();
    group.run_for(Duration::from_secs(1)).unwrap();
    let leader = kafka.leader("brokers", 0).unwrap();
    kafka.crash(leader).unwrap();
    group.run_for(Duration::from_secs(8)).unwrap();
    kafka.start_again(leader).unwrap();
    group.wait_until_all_work().unwrap();
    let produced = producer.finish().unwrap();
    assert!(produced.unsure.is_empty(), "{:?}", produced.unsure);
    let account = group.finish(&produced, REST_TIME_MAX).unwrap();
    // No member was cut off, but a coordinator that dies may forget them.
    nothing_is_lost(&account, repeated_max(2));
}

/// With `transactional_id`, events and offsets go together: what a killed process had written and not committed is not there.
#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn a_copy_of_a_topic_is_exact_whenever_its_process_is_killed() {
    const KILLS: usize = 3;
    let turn = Turn::take();
    let kafka = turn.kafka();
    kafka.create_topic("original", 6).unwrap();
    kafka.create_topic("copy", 3).unwrap();
    let pipeline = format!(
        r#"
        input {{ kafka {{
            bootstrap_servers => "{servers}" topics => ["original"] group_id => "copier" codec => "json"
            auto_offset_reset => "earliest" group_instance_id => "${{HOSTNAME}}" session_timeout_ms => 6000
            isolation_level => "read_committed"
        }} }}
        output {{ kafka {{
            bootstrap_servers => "{servers}" topic_id => "copy" codec => "json" transactional_id => "copier"
        }} }}"#,
        servers = kafka.address().unwrap()
    );
    let plan = Plan {
        program: PathBuf::from(env!("CARGO_BIN_EXE_ferrostash")),
        arguments: vec!["-e".to_owned(), pipeline],
        environment: Vec::new(),
    };
    let copier = || {
        let mut member = Member::start(&plan, "copier").unwrap();
        member.wait_until_up().unwrap();
        let copies = || Ok(member.events_out().ok().filter(|events| *events > 0));
        ferrostash_tier::wait("copies", REST_TIME_MAX, copies)
            .unwrap_or_else(|_| panic!("{}", member.said()));
        member
    };
    let producer = Producer::start(kafka, "original", Pace::of(RATE)).unwrap();
    for kill in 0..KILLS {
        let member = copier();
        std::thread::sleep(Duration::from_millis(300 + 170 * kill as u64));
        member.kill().unwrap();
    }
    let member = copier();
    let produced = producer.finish().unwrap();
    let committed = kafka.wait_for_commits("copier", "original", REST_TIME_MAX);
    committed.unwrap_or_else(|error| panic!("{error:#}\n{}", member.said()));
    member.stop().unwrap();
    let mut numbers = kafka.numbers("copy").unwrap();
    numbers.sort_unstable();
    assert!(produced.events > RATE, "too little to say anything: {}", produced.events);
    assert!(numbers.iter().copied().eq(0..produced.events), "{} of {}", numbers.len(), produced.events);
}

/// A transaction takes along the offsets of all that was read, also of what a filter has just dropped.
#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn a_stop_commits_the_offsets_of_what_was_dropped_just_before() {
    const KEPT: u64 = 10;
    let turn = Turn::take();
    let kafka = turn.kafka();
    kafka.create_topic("mostly-dropped", 3).unwrap();
    kafka.create_topic("kept", 1).unwrap();
    let pipeline = format!(
        r#"
        input {{ kafka {{
            bootstrap_servers => "{servers}" topics => ["mostly-dropped"] group_id => "dropper" codec => "json"
            auto_offset_reset => "earliest" isolation_level => "read_committed"
        }} }}
        filter {{ if [n] >= {KEPT} {{ drop {{}} }} }}
        output {{ kafka {{
            bootstrap_servers => "{servers}" topic_id => "kept" codec => "json" transactional_id => "dropper"
        }} }}"#,
        servers = kafka.address().unwrap()
    );
    let plan = Plan {
        program: PathBuf::from(env!("CARGO_BIN_EXE_ferrostash")),
        arguments: vec!["-e".to_owned(), pipeline],
        environment: Vec::new(),
    };
    let mut member = Member::start(&plan, "dropper").unwrap();
    member.wait_until_up().unwrap();
    let producer = Producer::start(kafka, "mostly-dropped", Pace::of(RATE)).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let produced = producer.finish().unwrap();
    ferrostash_tier::wait("the last event", REST_TIME_MAX, || {
        let stats = member.stats("/_node/stats/pipelines/main")?;
        let dropped = stats["pipelines"]["main"]["ledger"]["dropped_by_rule"].as_u64();
        Ok(dropped.filter(|dropped| dropped + KEPT == produced.events))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", member.said()));
    member.stop().unwrap();
    assert_eq!(kafka.lag("dropper", "mostly-dropped").unwrap().events(), 0);
    assert_eq!(kafka.numbers("kept").unwrap().len() as u64, KEPT);
}

/// librdkafka knows the ends of what it fetches alone, and lag is looked at when nothing is fetched.
#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn the_lag_grows_while_an_output_is_away() {
    let turn = Turn::take();
    let kafka = turn.kafka();
    kafka.create_topic("waiting", 1).unwrap();
    let pipeline = format!(
        r#"
        input {{ kafka {{
            bootstrap_servers => "{servers}" topics => ["waiting"] group_id => "waiting" codec => "json"
            auto_offset_reset => "earliest" max_poll_records => 1
        }} }}
        output {{ elasticsearch {{ hosts => "http://127.0.0.1:9" manage_template => false data_stream => false }} }}"#,
        servers = kafka.address().unwrap()
    );
    let plan = Plan {
        program: PathBuf::from(env!("CARGO_BIN_EXE_ferrostash")),
        arguments: vec!["-e".to_owned(), pipeline],
        environment: Vec::new(),
    };
    let mut member = Member::start(&plan, "waiting").unwrap();
    member.wait_until_up().unwrap();
    let row_when = |is_enough: &dyn Fn(&Value) -> bool| {
        let row = ferrostash_tier::wait("the lag", REST_TIME_MAX, || {
            let stats = member.stats("/_node/stats/pipelines/main")?;
            let row = stats.pointer("/pipelines/main/plugins/inputs/0/partitions/0");
            Ok(row.filter(|row| is_enough(row)).cloned())
        });
        row.unwrap_or_else(|error| panic!("{error:#}\n{}", member.said()))
    };
    let mut written = 0;
    for _ in 0..2 {
        let producer = Producer::start(kafka, "waiting", Pace::of(RATE)).unwrap();
        std::thread::sleep(Duration::from_secs(2));
        written += producer.finish().unwrap().events;
        let row = row_when(&|row| row["paused"] == 1 && row["end"] == written);
        assert_eq!(row["lag"], written, "{row}");
    }
    member.stop().unwrap();
}

/// As Java's client, which asks for a missing topic until it is there; and then nothing of it is passed over.
#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn a_topic_that_is_missing_is_created_and_read_from_its_first_message() {
    let turn = Turn::take();
    let kafka = turn.kafka();
    kafka.create_topic("there", 2).unwrap();
    let pipeline = format!(
        r#"
        input {{ kafka {{
            bootstrap_servers => "{}" topics => ["there", "later"] group_id => "early" codec => "json"
        }} }}
        output {{ sink {{}} }}"#,
        kafka.address().unwrap()
    );
    let plan = Plan {
        program: PathBuf::from(env!("CARGO_BIN_EXE_ferrostash")),
        arguments: vec!["-e".to_owned(), pipeline],
        environment: Vec::new(),
    };
    let mut member = Member::start(&plan, "early").unwrap();
    member.wait_until_up().unwrap();
    ferrostash_tier::wait("the topic", REST_TIME_MAX, || Ok(kafka.leader("later", 0).ok())).unwrap();
    let producer = Producer::start(kafka, "later", Pace::of(RATE)).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let produced = producer.finish().unwrap().events;
    ferrostash_tier::wait("all", REST_TIME_MAX, || {
        Ok(member.events_out().ok().filter(|events| *events == produced))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", member.said()));
    member.stop().unwrap();
}

/// conf/kafka-tier.conf with a real Elasticsearch, as `cargo xtask tier` and docker-compose.yml run it.
#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn the_sample_of_a_tier_brings_everything_to_elasticsearch() {
    let turn = Turn::take();
    let elasticsearch = Elasticsearch::start().unwrap();
    turn.kafka().create_topic("tier", 6).unwrap();
    let variables = [
        ("KAFKA_SERVERS", turn.kafka().address().unwrap()),
        ("KAFKA_TOPIC", "tier"),
        ("ES_HOSTS", elasticsearch.url().unwrap()),
    ];
    let plan = Plan {
        program: PathBuf::from(env!("CARGO_BIN_EXE_ferrostash")),
        arguments: vec!["-f".to_owned(), conf("kafka-tier.conf")],
        environment: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    };
    let mut members: Vec<_> = (1..=2).map(|n| Member::start(&plan, &format!("tier-{n}")).unwrap()).collect();
    members.iter_mut().for_each(|member| member.wait_until_up().unwrap());
    let producer = Producer::start(turn.kafka(), "tier", Pace::of(RATE)).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    // What it has delivered and not committed is delivered again, onto the same documents.
    members.remove(0).kill().unwrap();
    let produced = producer.finish().unwrap();
    turn.kafka().wait_for_commits("ferrostash-tier", "tier", REST_TIME_MAX).unwrap();
    let mut numbers = elasticsearch.numbers("tier-*").unwrap();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..produced.events), "{} of {}", numbers.len(), produced.events);
    for member in members {
        member.stop().unwrap();
    }
}
