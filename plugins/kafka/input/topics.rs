//! Which topics are read, and the lookout for those that are still to come.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use ferrostash_plugin::{BuildContext, BuildResult};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaRespErr::{
    RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE as LEADER_NOT_AVAILABLE,
    RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART as UNKNOWN_TOPIC,
};
use regex::Regex;

use super::context::MemberContext;
use super::options::KafkaInputOptions;

/// How long the brokers may take to name all topics.
const ALL_WAIT: Duration = Duration::from_secs(5);
/// How long they may take to tell of those of a list; the rest is for the next time.
const LIST_WAIT: Duration = Duration::from_secs(1);
/// How soon they are asked again while something is missing, at least and at most.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(10);
/// When there is nothing to look for.
const NEVER: Duration = Duration::from_secs(365 * 86_400);
/// Topics of Kafka's own.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__share_group_state", "__transaction_state"];

/// Which topics are read.
pub(crate) enum Topics {
    List(Vec<String>),
    Pattern { pattern: Regex, with_internal: bool, again_after: Duration },
}

impl Topics {
    pub(crate) fn of(options: &KafkaInputOptions, cx: &mut BuildContext<'_>) -> BuildResult<Topics> {
        let Some(pattern) = options.topics_pattern.as_ref().filter(|pattern| !pattern.value.is_empty())
        else {
            if options.topics.is_empty() || options.topics.iter().any(String::is_empty) {
                return Err(cx.refuse("`topics` names no topic"));
            }
            if let Some(topic) = options.topics.iter().find(|topic| !is_name(topic)) {
                return Err(cx.refuse(format!(
                    "\"{topic}\" is no name of a topic: up to 249 of the characters a-z, A-Z, 0-9, `.`, `_` and `-`"
                )));
            }
            return Ok(Topics::List(options.topics.clone()));
        };
        // Java's client wants the whole name to fit.
        let whole = Regex::new(&format!("^(?:{})$", pattern.value));
        let regex = whole.map_err(|error| {
            cx.refuse_at(pattern.span, format!("`topics_pattern` is no regular expression: {error}"))
        })?;
        let with_internal =
            options.exclude_internal_topics.as_ref().is_some_and(|text| text.value == "false");
        let again_after = Duration::from_millis(options.connection.metadata_max_age_ms);
        Ok(Topics::Pattern { pattern: regex, with_internal, again_after })
    }
}

/// Whether a topic can have this name.
fn is_name(text: &str) -> bool {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    text.len() <= 249 && text != "." && text != ".." && text.chars().all(is_legal)
}

/// What a member knows of its topics.
#[derive(Default)]
pub(crate) struct Lookout {
    /// When the member looks again, and which name of a list is then the first.
    due: Option<Instant>,
    next: usize,
    /// Nothing that was asked for is missing.
    is_complete: bool,
    /// Topics that are there.
    known: HashSet<String>,
    /// Topics that brokers do not have yet.
    missing: HashSet<String>,
    /// Brokers have named all topics once.
    has_listed: bool,
    /// Topics that came after the member had looked for them: all of their messages are new to it.
    appeared: HashSet<String>,
    /// The group is to hear of a topic that has appeared.
    is_news: bool,
}

impl Lookout {
    /// Subscribes `consumer` to the topics, and looks for missing ones when it is time.
    ///
    /// # Errors
    /// The library refuses them.
    pub(crate) fn look(
        &mut self,
        topics: &Topics,
        consumer: &BaseConsumer<MemberContext>,
    ) -> Result<(), String> {
        if self.due.is_some_and(|due| Instant::now() < due) {
            return Ok(());
        }
        let begin = Instant::now();
        let looked = match topics {
            Topics::List(names) => {
                subscribe(consumer, names)?;
                self.look_for(names, consumer)
            }
            Topics::Pattern { pattern, with_internal, .. } => self.look_around(consumer, |name| {
                pattern.is_match(name) && (*with_internal || !INTERNAL.contains(&name))
            })?,
        };
        if let Err(error) = looked {
            tracing::warn!(%error, limited = true, "The brokers don't name their topics.");
        }
        // Meanwhile nothing is polled: it is done seldom where it takes long.
        let again_after = (4 * begin.elapsed()).clamp(AGAIN, AGAIN_MAX);
        let again_after = match topics {
            Topics::List(_) if self.is_complete => NEVER,
            Topics::List(_) => again_after,
            Topics::Pattern { again_after, .. } if self.is_complete => *again_after,
            Topics::Pattern { again_after: max, .. } => again_after.min(*max),
        };
        self.due = Some(Instant::now() + again_after);
        Ok(())
    }

    /// Whether the topic came after the member had begun to look.
    pub(crate) fn has_appeared(&self, topic: &str) -> bool {
        // The group may hear of it before the member looks again.
        self.appeared.contains(topic) || self.missing.contains(topic)
    }

    /// Asks for each topic that is missing, which also makes brokers create it where they may.
    fn look_for(&mut self, names: &[String], consumer: &BaseConsumer<MemberContext>) -> KafkaResult<()> {
        let until = Instant::now() + LIST_WAIT;
        for _ in names {
            let left = until.saturating_duration_since(Instant::now());
            let Some(name) = names.get(self.next % names.len()).filter(|_| !left.is_zero()) else { break };
            self.next = (self.next + 1) % names.len();
            if self.known.contains(name) {
                continue;
            }
            let metadata = consumer.fetch_metadata(Some(name), left)?;
            let Some(topic) = metadata.topics().first() else { continue };
            match topic.error() {
                Some(UNKNOWN_TOPIC | LEADER_NOT_AVAILABLE) => drop(self.missing.insert(name.clone())),
                None if is_there(topic) => {
                    if self.missing.remove(name) {
                        self.appeared.insert(name.clone());
                        self.is_news = true;
                    }
                    self.known.insert(name.clone());
                }
                // It may be there, and forbidden.
                _ => {}
            }
        }
        // The library tells the group of a topic only when it sees all.
        if self.is_news {
            let all = consumer.fetch_metadata(None, ALL_WAIT)?;
            let is_listed = |name| all.topics().iter().any(|topic| topic.name() == name && is_there(topic));
            self.is_news = !self.appeared.iter().all(|name| is_listed(name.as_str()));
        }
        self.is_complete = !self.is_news && names.iter().all(|name| self.known.contains(name));
        Ok(())
    }

    /// Looks which of all topics are wanted, and subscribes to them.
    fn look_around(
        &mut self,
        consumer: &BaseConsumer<MemberContext>,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<KafkaResult<()>, String> {
        let metadata = match consumer.fetch_metadata(None, ALL_WAIT) {
            Ok(metadata) => metadata,
            Err(error) => return Ok(Err(error)),
        };
        let names = metadata.topics().iter().map(|topic| topic.name()).filter(|name| is_wanted(name));
        let mut names: Vec<_> = names.map(str::to_owned).collect();
        names.sort_unstable();
        // One that is deleted and comes back is a new one.
        self.known.retain(|name| names.contains(name));
        for name in &names {
            if self.known.insert(name.clone()) && self.has_listed {
                self.appeared.insert(name.clone());
            }
        }
        // A broker that has just started may know of none.
        self.has_listed |= !metadata.topics().is_empty();
        self.is_complete = !names.is_empty();
        if !names.is_empty() {
            subscribe(consumer, &names)?;
        }
        Ok(Ok(()))
    }
}

fn is_there(topic: &MetadataTopic) -> bool {
    topic.error().is_none() && !topic.partitions().is_empty()
}

/// Subscribes `consumer` to these topics, unless it is.
fn subscribe(consumer: &BaseConsumer<MemberContext>, names: &[String]) -> Result<(), String> {
    let known = consumer.subscription().map_err(|error| error.to_string())?;
    let known: HashSet<_> = known.elements().iter().map(|topic| topic.topic().to_owned()).collect();
    if known == names.iter().cloned().collect() {
        return Ok(());
    }
    let list: Vec<&str> = names.iter().map(String::as_str).collect();
    tracing::info!(topics = ?list, "Subscribed.");
    consumer.subscribe(&list).map_err(|error| error.to_string())
}
