//! Members of one consumer group, from a topic into a stand-in for Elasticsearch.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::arrivals::{Account, Arrivals};
use crate::kafka::Kafka;
use crate::member::{Member, Plan};
use crate::producer::Produced;
use crate::wait;

/// How a group is made.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The executable.
    pub program: PathBuf,
    /// The name of topic and group; one that no other has.
    pub name: String,
    /// Partitions of the topic.
    pub partitions: usize,
    /// How partitions get to members.
    pub sharing: Sharing,
    /// Whether documents get ids that are made of the event's place in Kafka.
    pub has_ids: bool,
}

/// How partitions get to members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Classic protocol, `range`: in a rebalance everybody lets go of everything.
    Range,
    /// Classic protocol, `cooperative_sticky`: only of what moves.
    Cooperative,
    /// The same, with names that stay.
    Static,
    /// The protocol of KIP-848.
    Consumer,
}

impl Sharing {
    /// All of them.
    pub const ALL: [Sharing; 4] = [Sharing::Range, Sharing::Cooperative, Sharing::Static, Sharing::Consumer];
    /// The time after which the group takes a member for dead; the broker's own for `Consumer`, as `tests/services/kafka`
    /// sets it.
    pub const SESSION: Duration = Duration::from_secs(6);

    fn options(self) -> &'static str {
        match self {
            Sharing::Range => {
                r#"partition_assignment_strategy => "range" session_timeout_ms => 6000 heartbeat_interval_ms => 1000"#
            }
            Sharing::Cooperative => {
                r#"partition_assignment_strategy => "cooperative_sticky" session_timeout_ms => 6000
                   heartbeat_interval_ms => 1000"#
            }
            Sharing::Static => {
                r#"partition_assignment_strategy => "cooperative_sticky" session_timeout_ms => 6000
                   heartbeat_interval_ms => 1000 group_instance_id => "${HOSTNAME}""#
            }
            Sharing::Consumer => r#"group_protocol => "consumer""#,
        }
    }
}

/// How often members commit what was delivered.
pub const COMMIT_INTERVAL: Duration = Duration::from_millis(500);
/// How long it may take until what a group does is seen.
const SEEN_TIME_MAX: Duration = Duration::from_secs(60);

/// A group with its topic, its members and what it delivers.
pub struct Group<'k> {
    kafka: &'k Kafka,
    setup: Setup,
    plan: Plan,
    started: usize,
    /// Those that run.
    pub members: Vec<Member>,
    /// What they deliver.
    pub arrivals: Arrivals,
}

impl<'k> Group<'k> {
    /// Makes the topic, and no member yet.
    ///
    /// # Errors
    /// The topic can't be made.
    pub fn new(kafka: &'k Kafka, setup: Setup) -> Result<Group<'k>> {
        kafka.create_topic(&setup.name, setup.partitions)?;
        let arrivals = Arrivals::start();
        let place =
            "%{[@metadata][kafka][topic]}-%{[@metadata][kafka][partition]}-%{[@metadata][kafka][offset]}";
        let id = if setup.has_ids { format!("document_id => \"{place}\"") } else { String::new() };
        let pipeline = format!(
            r#"
            input {{ kafka {{
                bootstrap_servers => "{servers}" topics => ["{name}"] group_id => "{name}" codec => "json"
                auto_offset_reset => "earliest" decorate_events => "basic" auto_commit_interval_ms => {commit}
                {sharing}
            }} }}
            output {{ elasticsearch {{
                hosts => ["{url}"] index => "events" manage_template => false {id}
                retry_initial_interval => 0.2 retry_max_interval => 1
            }} }}"#,
            servers = kafka.address()?,
            name = setup.name,
            commit = COMMIT_INTERVAL.as_millis(),
            sharing = setup.sharing.options(),
            url = arrivals.url(),
        );
        let arguments = vec!["-e".to_owned(), pipeline];
        let plan = Plan { program: setup.program.clone(), arguments, environment: Vec::new() };
        Ok(Group { kafka, setup, plan, started: 0, members: Vec::new(), arrivals })
    }

    /// The name of topic and group.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// Starts so many members more, and waits until they are up.
    ///
    /// # Errors
    /// One does not start.
    pub fn add(&mut self, count: usize) -> Result<()> {
        let first = self.members.len();
        for _ in 0..count {
            self.started += 1;
            let name = format!("{}-{}", self.setup.name, self.started);
            self.members.push(Member::start(&self.plan, &name)?);
        }
        self.members.iter_mut().skip(first).try_for_each(Member::wait_until_up)
    }

    /// Starts a member under a name that was there before.
    ///
    /// # Errors
    /// It does not start.
    pub fn add_again(&mut self, name: &str) -> Result<()> {
        let mut member = Member::start(&self.plan, name)?;
        member.wait_until_up()?;
        self.members.push(member);
        Ok(())
    }

    /// Takes a member out of the list, to do something with it.
    ///
    /// # Errors
    /// There is no such member.
    pub fn take(&mut self, at: usize) -> Result<Member> {
        (at < self.members.len()).then(|| self.members.remove(at)).with_context(|| format!("no member {at}"))
    }

    /// Waits until each member has delivered something since now: then each has partitions.
    ///
    /// # Errors
    /// One has not within a minute; with what it said.
    pub fn wait_until_all_work(&mut self) -> Result<()> {
        let arrivals = &mut self.arrivals;
        for member in &mut self.members {
            let before = member.events_out()?;
            let works = wait("an event", SEEN_TIME_MAX, || {
                arrivals.look()?;
                member.check()?;
                Ok(member.events_out().ok().filter(|now| *now > before))
            });
            works.with_context(|| format!("{} gets nothing:\n{}", member.name(), member.said()))?;
        }
        Ok(())
    }

    /// Lets events flow for a while.
    ///
    /// # Errors
    /// A member has ended by itself.
    pub fn run_for(&mut self, time: Duration) -> Result<()> {
        let end = std::time::Instant::now() + time;
        while std::time::Instant::now() < end {
            self.arrivals.look()?;
            self.members.iter_mut().try_for_each(Member::check)?;
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Waits until all that was produced is there and committed, stops all members, and gives the account.
    ///
    /// # Errors
    /// Something does not come within `limit`, or a member does not end well.
    pub fn finish(mut self, produced: &Produced, limit: Duration) -> Result<Account> {
        let logs = |members: &[Member]| -> String {
            let log = |member: &Member| format!("--- {}:\n{}", member.name(), last_lines(&member.said()));
            members.iter().map(log).collect()
        };
        let arrived = self.arrivals.wait_for(produced, limit);
        arrived.with_context(|| logs(&self.members))?;
        let committed = self.kafka.wait_for_commits(&self.setup.name, &self.setup.name, limit);
        committed.with_context(|| logs(&self.members))?;
        // What comes twice may come last.
        self.members.iter_mut().try_for_each(Member::ask_to_stop)?;
        for member in self.members.drain(..) {
            member.stop()?;
        }
        self.arrivals.look()?;
        Ok(self.arrivals.account(produced, &self.kafka.numbers(&self.setup.name)?))
    }
}

/// The end of a log.
fn last_lines(text: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(LINES)).flat_map(|line| [*line, "\n"]).collect()
}
