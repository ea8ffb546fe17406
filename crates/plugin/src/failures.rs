//! What a plugin could not do its work on: the way to the dead letter queue.

use crate::build::{BuildContext, BuildResult};
use ferrostash_conf::Spanned;
use ferrostash_event::{Event, FieldRef, Value};
use std::fmt::Display;
use std::sync::{Arc, LazyLock};

/// What a pipeline does with events that a plugin can't use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadLettering {
    /// `dead_letter_queue.enable`: there is a dead letter queue.
    pub is_on: bool,
    /// `dead_letter_queue.failures`: filters and codecs use it too, unless they say otherwise.
    pub failures: bool,
}

impl BuildContext<'_> {
    /// Whether the plugin's failures go to the dead letter queue; `option` is its option `dead_letter_queue`.
    pub(crate) fn sends_failures(&mut self, option: Option<&Spanned<bool>>) -> BuildResult<bool> {
        let DeadLettering { is_on, failures } = self.pipeline.dead_letters;
        match option {
            Some(option) if option.value && !is_on => {
                let message = "`dead_letter_queue => true` needs a dead letter queue: set dead_letter_queue.enable: true";
                Err(self.refuse_at(option.span, message))
            }
            Some(option) => Ok(option.value),
            None => Ok(is_on && failures),
        }
    }

    /// What a codec says of data that it can't read, or an input that reads messages.
    pub fn codec_failures(&self) -> CodecFailures {
        let (_, name) = self.plugin;
        CodecFailures(self.sends_failures.then(|| Arc::new((name.to_owned(), self.id.to_string()))))
    }
}

/// Where a codec marks events that keep what it could not read. The engine takes marked events to the dead letter queue,
/// where that is wanted; else nothing is marked.
#[derive(Clone, Debug, Default)]
pub struct CodecFailures(Option<Arc<(String, String)>>);

static FAILURE: LazyLock<FieldRef> = LazyLock::new(|| {
    FieldRef::parse("[@metadata][codec_failure]").unwrap_or_else(|_| FieldRef::literal("codec_failure"))
});
static PLUGIN_TYPE: LazyLock<FieldRef> = LazyLock::new(|| FAILURE.child("plugin_type"));
static PLUGIN_ID: LazyLock<FieldRef> = LazyLock::new(|| FAILURE.child("plugin_id"));
static REASON: LazyLock<FieldRef> = LazyLock::new(|| FAILURE.child("reason"));

impl CodecFailures {
    /// Tags an event that keeps what could not be read, and marks it.
    pub fn fail(&self, event: &mut Event, tag: &str, reason: impl Display) {
        event.tag(tag);
        let Some((plugin_type, plugin_id)) = self.0.as_deref() else { return };
        // The metadata of a new event is empty: nothing is in the way.
        let _ = event.set_str(&PLUGIN_TYPE, plugin_type);
        let _ = event.set_str(&PLUGIN_ID, plugin_id);
        let _ = event.set_str(&REASON, &format!("{tag}: {reason}"));
    }
}

/// The mark of [`CodecFailures::fail`], taken off the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecFailure {
    /// The codec's name.
    pub plugin_type: String,
    /// The codec's id.
    pub plugin_id: String,
    /// What it could not read.
    pub reason: String,
}

impl CodecFailure {
    /// Takes the mark off `event`, where there is one.
    pub fn take(event: &mut Event) -> Option<CodecFailure> {
        if event.metadata().is_empty() || !event.contains(&FAILURE) {
            return None;
        }
        let text = |field: &FieldRef| event.get_str(field).unwrap_or_default().to_owned();
        let failure = CodecFailure {
            plugin_type: text(&PLUGIN_TYPE),
            plugin_id: text(&PLUGIN_ID),
            reason: text(&REASON),
        };
        match event.take(&FAILURE) {
            Some(Value::Object(_)) => Some(failure),
            _ => None,
        }
    }
}
