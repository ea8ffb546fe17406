//! Schemas by number, from a registry as Confluent's.

mod cache;
mod connection;
mod error;

use std::collections::HashSet;
use std::sync::Arc;

use ferrostash_plugin::{BuildContext, BuildResult};
use serde_json::Value;

use self::cache::Cache;
use self::connection::Connection;
pub(crate) use self::error::RegistryError;
use super::avro::{AvroSchema, SchemaParser};
use super::options::KafkaInputOptions;
use super::registry_options::{RegistryOptions, Validation};
use crate::client::options::SecurityProtocol;

/// Most schemas that one schema may bring with it by references.
pub(crate) const REFERENCES_MAX: usize = 256;

const STRINGS: &str = "org.apache.kafka.common.serialization.StringDeserializer";

/// Refuses what makes no sense beside a registry.
///
/// # Errors
/// Reported at the option.
pub(crate) fn check(options: &KafkaInputOptions, cx: &mut BuildContext<'_>) -> BuildResult<()> {
    if options.registry.schema_registry_url.is_none() {
        return Ok(());
    }
    let class = &options.value_deserializer_class;
    if class.value != STRINGS {
        let message = "Option schema_registry_url prohibit the customization of value_deserializer_class";
        return Err(cx.refuse_at(class.span, message));
    }
    match &options.topics_pattern {
        Some(pattern) if !pattern.value.is_empty() => {
            let message = "Option schema_registry_url prohibit the customization of topics_pattern";
            Err(cx.refuse_at(pattern.span, message))
        }
        _ => Ok(()),
    }
}

/// A registry, with the schemas that were asked for.
#[derive(Debug)]
pub(crate) struct SchemaRegistry {
    connection: Connection,
    validates: bool,
    cache: Cache,
}

impl SchemaRegistry {
    /// The registry that the options name, if any. Reads the stores; connects when something is asked for.
    ///
    /// # Errors
    /// Reported at the options: one of them can't be used.
    pub(crate) fn build(
        options: &RegistryOptions,
        protocol: SecurityProtocol,
        cx: &mut BuildContext<'_>,
    ) -> BuildResult<Option<Self>> {
        let Some(url) = &options.schema_registry_url else { return Ok(None) };
        let connection = Connection::new(options, url).map_err(|reason| cx.refuse_at(url.span, reason))?;
        // Logstash's start can't log in everywhere where its consumer can, and then does not look.
        let sasl = matches!(protocol, SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl);
        let validates = options.schema_registry_validation == Validation::Auto && !sasl;
        Ok(Some(Self { connection, validates, cache: Cache::default() }))
    }

    /// Looks, at the start, whether the registry answers and knows a schema for the values of each topic; unless
    /// `schema_registry_validation` or a login by SASL skips that.
    ///
    /// # Errors
    /// It does not. Only [`RegistryError::is_retryable`] tells whether asking again can help.
    pub(crate) async fn validate(&self, topics: &[String]) -> Result<(), RegistryError> {
        if !self.validates {
            return Ok(());
        }
        let unreachable = |error: RegistryError| match error {
            RegistryError::Unreachable(_) => error,
            other => RegistryError::Unreachable(other.to_string()),
        };
        let answer = self.connection.get("/subjects").await.map_err(unreachable)?;
        let Some(subjects) = answer.as_array() else {
            return Err(RegistryError::Unreachable("the answer to GET /subjects is no list".to_owned()));
        };
        let known: HashSet<&str> = subjects.iter().filter_map(Value::as_str).collect();
        let expected = topics.iter().map(|topic| format!("{topic}-value"));
        let missing: Vec<String> = expected.filter(|subject| !known.contains(subject.as_str())).collect();
        if missing.is_empty() { Ok(()) } else { Err(RegistryError::Subjects(missing)) }
    }

    /// The schema with this number; asked for once, whoever wants it at the same time.
    ///
    /// # Errors
    /// There is none that can be used, or there is no answer now; see [`RegistryError::is_retryable`].
    pub(crate) async fn schema(&self, id: u32) -> Result<Arc<AvroSchema>, RegistryError> {
        self.cache.get(id, || self.fetch(id)).await
    }

    async fn fetch(&self, id: u32) -> Result<Arc<AvroSchema>, RegistryError> {
        let unusable = |reason: String| RegistryError::Unusable { id, reason };
        let answer = self.connection.get(&format!("/schemas/ids/{id}")).await?;
        let definition = Definition::read(&answer).map_err(unusable)?;
        let mut parser = SchemaParser::default();
        let mut known = HashSet::new();
        let mut steps = definition.steps();
        while let Some(step) = steps.pop() {
            match step {
                Step::Define(text) => parser.add(&text).map_err(|error| unusable(error.to_string()))?,
                Step::Fetch(reference) => {
                    if !known.insert(reference.name.clone()) {
                        continue;
                    }
                    if known.len() > REFERENCES_MAX {
                        return Err(unusable(format!(
                            "it refers to more than {REFERENCES_MAX} other schemas"
                        )));
                    }
                    let answer = self.connection.get(&reference.path()).await?;
                    let definition = Definition::read(&answer);
                    let definition = definition.map_err(|reason| {
                        unusable(format!("the schema `{}`, which it uses: {reason}", reference.name))
                    })?;
                    steps.extend(definition.steps());
                }
            }
        }
        tracing::debug!(id, references = known.len(), "schema read from the registry");
        parser.finish().map(Arc::new).map_err(|error| unusable(error.to_string()))
    }
}

/// What is left to do for a schema, the next one last.
enum Step {
    Fetch(Reference),
    Define(String),
}

/// A schema as the registry has it.
struct Definition {
    text: String,
    references: Vec<Reference>,
}

/// A schema whose types another one uses.
struct Reference {
    name: String,
    subject: String,
    version: i64,
}

impl Definition {
    fn read(answer: &Value) -> Result<Self, String> {
        match answer.get("schemaType").and_then(Value::as_str) {
            None | Some("AVRO") => {}
            Some(other) => return Err(format!("it is of the type {other}; only AVRO can be read")),
        }
        let text =
            answer.get("schema").and_then(Value::as_str).ok_or("the registry's answer has no `schema`")?;
        let references =
            answer.get("references").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let references = references.iter().map(Reference::read).collect::<Option<_>>();
        let references = references.ok_or("one of its references lacks name, subject or version")?;
        Ok(Self { text: text.to_owned(), references })
    }

    /// First what is referred to, in its order, then the schema itself.
    fn steps(self) -> Vec<Step> {
        let references = self.references.into_iter().rev().map(Step::Fetch);
        std::iter::once(Step::Define(self.text)).chain(references).collect()
    }
}

impl Reference {
    fn read(reference: &Value) -> Option<Self> {
        let text = |name| reference.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            name: text("name")?,
            subject: text("subject")?,
            version: reference.get("version")?.as_i64()?,
        })
    }

    fn path(&self) -> String {
        format!("/subjects/{}/versions/{}", connection::encoded(&self.subject), self.version)
    }
}

#[cfg(test)]
mod tests;
