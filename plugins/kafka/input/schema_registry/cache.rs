//! Schemas that were asked for.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::RegistryError;
use crate::input::avro::AvroSchema;

/// Schemas that are kept; the oldest one makes room.
pub(super) const SCHEMAS_MAX: usize = 1000;
/// Numbers without a schema that are kept, so that bad records don't lead to a request each.
pub(super) const ABSENT_MAX: usize = 1000;
/// How long such a number is believed to have none.
pub(super) const ABSENT_FOR: Duration = Duration::from_secs(30);

type Schema = Arc<AvroSchema>;

#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    schemas: HashMap<u32, Schema>,
    /// Their numbers, the oldest first.
    order: VecDeque<u32>,
    absent: HashMap<u32, (Instant, RegistryError)>,
    /// What is being asked for, one request for all who wait.
    pending: HashMap<u32, Arc<OnceCell<Schema>>>,
}

impl Cache {
    /// A schema that is kept, else what `fetch` finds.
    pub(super) async fn get<F>(&self, id: u32, fetch: impl FnOnce() -> F) -> Result<Schema, RegistryError>
    where
        F: Future<Output = Result<Schema, RegistryError>>,
    {
        let pending = {
            let mut content = self.lock();
            if let Some(known) = content.known(id) {
                return known;
            }
            content.pending.entry(id).or_default().clone()
        };
        let fetched = pending
            .get_or_try_init(|| async {
                // Whoever had the turn before may have failed for good.
                let known = self.lock().known(id);
                match known {
                    Some(known) => known,
                    None => fetch().await,
                }
            })
            .await
            .cloned();
        self.lock().keep(id, &fetched);
        fetched
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn known(&self, id: u32) -> Option<Result<Schema, RegistryError>> {
        if let Some(schema) = self.schemas.get(&id) {
            return Some(Ok(schema.clone()));
        }
        let (since, error) = self.absent.get(&id)?;
        (since.elapsed() < ABSENT_FOR).then(|| Err(error.clone()))
    }

    fn keep(&mut self, id: u32, fetched: &Result<Schema, RegistryError>) {
        match fetched {
            Ok(schema) => {
                if self.schemas.insert(id, schema.clone()).is_none() {
                    self.order.push_back(id);
                }
                if self.order.len() > SCHEMAS_MAX
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.schemas.remove(&oldest);
                }
                self.pending.remove(&id);
            }
            Err(error) if !error.is_retryable() => {
                if self.absent.len() >= ABSENT_MAX {
                    self.absent.retain(|_, (since, _)| since.elapsed() < ABSENT_FOR);
                }
                if self.absent.len() >= ABSENT_MAX {
                    self.absent.clear();
                }
                // Those who waited for the same answer don't make it last longer.
                let old = self.absent.get(&id).filter(|(since, _)| since.elapsed() < ABSENT_FOR);
                if old.is_none() {
                    self.absent.insert(id, (Instant::now(), error.clone()));
                }
                self.pending.remove(&id);
            }
            // Others may wait for their turn to ask.
            Err(_) => {
                if self.pending.get(&id).is_some_and(|pending| Arc::strong_count(pending) <= 2) {
                    self.pending.remove(&id);
                }
            }
        }
    }
}
