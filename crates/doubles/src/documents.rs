//! What a search engine holds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// One document.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its index.
    pub index: String,
    /// Its id, given or made.
    pub id: String,
    /// Whether the id was given.
    pub has_own_id: bool,
    /// What it holds.
    pub source: Value,
    /// How often it was written.
    pub applied: u64,
}

/// Documents by index and id.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    /// In the order of their first coming.
    all: Vec<Stored>,
    places: BTreeMap<(String, String), usize>,
    made: u64,
}

impl Documents {
    /// Carries out one action of a bulk request; gives status and error.
    pub(crate) fn apply(&mut self, action: &Value, document: Option<&Value>) -> (u16, Option<Value>) {
        let (name, place) = action.as_object().unwrap().iter().next().unwrap();
        let index = place["_index"].as_str().unwrap().to_owned();
        let own = place["_id"].as_str().map(str::to_owned);
        let id = own.clone().unwrap_or_else(|| {
            self.made += 1;
            format!("made-{}", self.made)
        });
        let error = |kind: &str| Some(json!({"type": kind, "reason": "on command", "index": index}));
        let known = self.places.get(&(index.clone(), id.clone())).copied();
        match (name.as_str(), known) {
            ("create", Some(_)) => (409, error("version_conflict_engine_exception")),
            ("index", Some(at)) => {
                self.all[at].source = document.unwrap().clone();
                self.all[at].applied += 1;
                (200, None)
            }
            ("update", Some(at)) => {
                let more = document.unwrap()["doc"].as_object().cloned().unwrap_or_default();
                self.all[at].source.as_object_mut().unwrap().extend(more);
                self.all[at].applied += 1;
                (200, None)
            }
            ("update", None) if document.unwrap()["doc_as_upsert"] != true => {
                (404, error("document_missing_exception"))
            }
            ("delete", Some(at)) => {
                self.places.remove(&(index, id));
                self.all[at].source = Value::Null;
                (200, None)
            }
            ("delete", None) => (404, None),
            (_, None) => {
                let document = document.unwrap();
                let source = document.get("doc").unwrap_or(document).clone();
                self.places.insert((index.clone(), id.clone()), self.all.len());
                self.all.push(Stored { index, has_own_id: own.is_some(), id, source, applied: 1 });
                (201, None)
            }
            (other, _) => panic!("no such action: {other}"),
        }
    }

    /// All of them, in the order of their first coming.
    pub fn all(&self) -> Vec<Stored> {
        self.all.iter().filter(|stored| !stored.source.is_null()).cloned().collect()
    }

    /// `message` of each document, in the order of their first coming.
    pub fn messages(&self) -> Vec<String> {
        let message = |stored: &Stored| stored.source["message"].as_str().unwrap_or_default().to_owned();
        self.all().iter().map(message).collect()
    }

    /// Those of `messages` that no document has.
    pub fn lost<'m>(&self, messages: impl IntoIterator<Item = &'m str>) -> Vec<String> {
        let there: BTreeSet<String> = self.messages().into_iter().collect();
        messages.into_iter().filter(|message| !there.contains(*message)).map(str::to_owned).collect()
    }

    /// How many documents there are beyond one for each message.
    pub fn duplicates(&self) -> usize {
        let messages = self.messages();
        messages.len() - messages.iter().collect::<BTreeSet<_>>().len()
    }
}
