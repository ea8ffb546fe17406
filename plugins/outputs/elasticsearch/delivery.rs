//! Delivering batches: send, read what became of each document, repeat what is open.
//!
//! | answer | what happens |
//! |---|---|
//! | document: 200, 201 | done |
//! | document: 409, or an error of `drop_error_types` | dropped, with a warning |
//! | document: 400, 404, or one of `dlq_custom_codes` | dead letter |
//! | document: anything else | this document is sent again, for ever |
//! | request: 413 | halved; one document alone is a dead letter |
//! | request: any other error, or no answer | the request is sent again, for ever |
//! | another number of outcomes than documents | the request is sent again, for ever |

use std::sync::Arc;
use std::time::Duration;

use ferrostash_event::Event;
use ferrostash_plugin::{Backoff, Counter, OutputContext, OutputError, PluginMetrics};
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode};

use super::action::Action;
use super::answer::{Answer, Outcome};
use super::bulk::{Item, Payload, Request, Shape};
use super::nodes::{NoAnswer, Nodes};

const EVENT_COUNT: HeaderName = HeaderName::from_static("x-elastic-event-count");
const UNCOMPRESSED_LENGTH: HeaderName = HeaderName::from_static("x-elastic-uncompressed-request-length");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
/// What is shown of an answer in the log, in bytes.
const LOGGED_BYTES_MAX: usize = 1024;

/// What the options say about answers.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Statuses that make a dead letter of a document.
    pub(super) dead_letter_codes: Vec<u16>,
    pub(super) dropped_errors: Vec<String>,
    /// Errors that are not logged.
    pub(super) silent_errors: Vec<String>,
    pub(super) retry_first: Duration,
    pub(super) retry_max: Duration,
}

/// What is counted.
#[derive(Debug)]
pub(super) struct Counts {
    requests_successes: Arc<Counter>,
    requests_with_errors: Arc<Counter>,
    requests_failures: Arc<Counter>,
    successes: Arc<Counter>,
    dead_letters: Arc<Counter>,
    non_retryable: Arc<Counter>,
    retryable: Arc<Counter>,
}

impl Counts {
    pub(super) fn new(metrics: &PluginMetrics) -> Counts {
        let counter = |group, name| metrics.counter(&[group, name]);
        Counts {
            requests_successes: counter("bulk_requests", "successes"),
            requests_with_errors: counter("bulk_requests", "with_errors"),
            requests_failures: counter("bulk_requests", "failures"),
            successes: counter("documents", "successes"),
            dead_letters: counter("documents", "dlq_routed"),
            non_retryable: counter("documents", "non_retryable_failures"),
            retryable: counter("documents", "retryable_failures"),
        }
    }
}

/// The delivery of some batches.
pub(super) struct Delivery<'d> {
    pub(super) nodes: &'d Nodes,
    pub(super) rules: &'d Rules,
    pub(super) counts: &'d Counts,
    /// The events of each batch, where they are still there.
    pub(super) events: Vec<Vec<&'d Event>>,
    pub(super) payloads: &'d [Arc<Payload>],
    pub(super) cx: &'d OutputContext,
    pub(super) backoff: Backoff,
}

/// How a request ended.
enum Sent {
    Answered(Answer),
    TooLarge,
    /// `in_doubt`: it may have been carried out.
    Failed {
        in_doubt: bool,
    },
    NoNode,
}

impl Delivery<'_> {
    /// Delivers the payloads of the batches; returns when each of their documents is settled.
    ///
    /// # Errors
    /// The grace time is over.
    pub(super) async fn all(&mut self, shape: Shape) -> Result<(), OutputError> {
        for (batch, payload) in self.payloads.iter().enumerate() {
            for (event, reason) in &payload.unmappable {
                self.counts.non_retryable.add(1);
                self.dead_letter(batch, *event, reason).await;
            }
        }
        let mut open = Request::all(self.payloads, shape);
        open.reverse();
        while let Some(request) = open.pop() {
            open.extend(self.attempt(request).await?);
        }
        Ok(())
    }

    /// Sends a request; gives those that remain, the next one last.
    async fn attempt(&mut self, mut request: Request) -> Result<Vec<Request>, OutputError> {
        request.compress().await.map_err(broken_thread)?;
        let sent = tokio::select! {
            biased;
            sent = self.send(&request) => sent,
            () = self.cx.shutdown.abandoned() => return Err(OutputError::Abandoned),
        };
        match sent {
            Sent::Answered(Answer::Accepted) => {
                self.counts.requests_successes.add(1);
                self.counts.successes.add(request.items.len() as u64);
                self.backoff.reset();
                Ok(Vec::new())
            }
            Sent::Answered(Answer::Outcomes(outcomes)) => {
                self.counts.requests_with_errors.add(1);
                self.sort_out(request, outcomes).await
            }
            Sent::Answered(Answer::Unclear(reason)) => {
                self.counts.requests_failures.add(1);
                tracing::error!(
                    limited = true,
                    reason,
                    "Encountered an unexpected error submitting a bulk request, will retry"
                );
                doubt(&mut request);
                self.again(request).await
            }
            Sent::TooLarge => self.halve(request).await,
            Sent::Failed { in_doubt } => {
                self.counts.requests_failures.add(1);
                if in_doubt {
                    doubt(&mut request);
                }
                self.again(request).await
            }
            Sent::NoNode => {
                self.counts.requests_failures.add(1);
                tracing::error!(
                    limited = true,
                    "Attempted to send a bulk request but there are no living connections in the pool (perhaps Elasticsearch is unreachable or down?)"
                );
                tokio::select! {
                    () = self.nodes.some_alive() => {}
                    () = self.cx.shutdown.abandoned() => return Err(OutputError::Abandoned),
                }
                Ok(vec![request])
            }
        }
    }

    async fn send(&self, request: &Request) -> Sent {
        let answer = match self.nodes.bulk(headers(request), request.body().into()).await {
            Ok(answer) => answer,
            Err(NoAnswer::NoNode) => return Sent::NoNode,
            Err(NoAnswer::Unreachable(error)) => {
                tracing::error!(limited = true, %error, "Attempted to send a bulk request but Elasticsearch appears to be unreachable or down");
                return Sent::Failed { in_doubt: !error.is_unsent() };
            }
        };
        self.cx.metrics.counter(&["bulk_requests", "responses", answer.status.as_str()]).add(1);
        let code = answer.status.as_u16();
        let documents = request.items.len();
        if answer.status.is_success() {
            return Sent::Answered(Answer::read(&answer.body, documents));
        }
        let body =
            String::from_utf8_lossy(answer.body.get(..LOGGED_BYTES_MAX).unwrap_or(&answer.body)).into_owned();
        match answer.status {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let size = request.plain_len();
                tracing::warn!(
                    limited = true,
                    documents,
                    size,
                    "Bulk request rejected: `413 Payload Too Large`"
                );
                return Sent::TooLarge;
            }
            // Not an error: the cluster asks for time.
            StatusCode::TOO_MANY_REQUESTS => {
                tracing::debug!(
                    code,
                    body,
                    "Encountered a retryable error (will retry with exponential backoff)"
                );
            }
            _ => {
                tracing::error!(
                    limited = true,
                    code,
                    body,
                    "Encountered a retryable error (will retry with exponential backoff)"
                );
            }
        }
        // A gateway that gave up waiting has passed the request on.
        Sent::Failed { in_doubt: answer.status.is_server_error() }
    }

    /// Waits, then tries the same again.
    async fn again(&mut self, request: Request) -> Result<Vec<Request>, OutputError> {
        self.wait().await?;
        Ok(vec![request])
    }

    async fn wait(&mut self) -> Result<(), OutputError> {
        tokio::select! {
            () = tokio::time::sleep(self.backoff.next_wait()) => Ok(()),
            () = self.cx.shutdown.abandoned() => Err(OutputError::Abandoned),
        }
    }

    /// Settles what can be settled; the rest is a new request.
    async fn sort_out(
        &mut self,
        request: Request,
        outcomes: Vec<Outcome>,
    ) -> Result<Vec<Request>, OutputError> {
        let mut rest = Vec::new();
        for (item, outcome) in request.items.iter().zip(outcomes) {
            if self.settle(&request, item, &outcome).await {
                continue;
            }
            self.counts.retryable.add(1);
            if self.is_logged(&outcome) {
                let (code, error) = (outcome.status, outcome.error_text());
                tracing::info!(limited = true, code, error, "Retrying failed action");
            }
            // It was answered for: it is not there.
            let mut open = item.clone();
            open.is_doubtful = false;
            rest.push(open);
        }
        if rest.is_empty() {
            self.backoff.reset();
            return Ok(Vec::new());
        }
        tracing::info!(
            limited = true,
            count = rest.len(),
            "Retrying individual bulk actions that failed or were rejected by the previous bulk request"
        );
        self.again(request.only(rest)).await
    }

    /// Whether a document is settled: accepted, dropped or dead-lettered.
    async fn settle(&self, request: &Request, item: &Item, outcome: &Outcome) -> bool {
        let code = outcome.status;
        if [200, 201].contains(&code) || self.is_own_duplicate(item, code) {
            self.counts.successes.add(1);
            return true;
        }
        let is_dropped_error =
            outcome.error_type().is_some_and(|kind| self.rules.dropped_errors.iter().any(|k| k == kind));
        if code == StatusCode::CONFLICT || is_dropped_error {
            self.counts.non_retryable.add(1);
            self.cx.metrics.events_rejected.add(1);
            if self.is_logged(outcome) {
                let (action, error) = (request.action_line(item), outcome.error_text());
                tracing::warn!(limited = true, code, action, error, "Failed action");
            }
            return true;
        }
        if !self.rules.dead_letter_codes.contains(&code) {
            return false;
        }
        self.counts.dead_letters.add(1);
        let (action, error) = (request.action_line(item), outcome.error_text());
        let reason = format!(
            "Could not index event to Elasticsearch. status: {code}, action: {action}, response: {error}"
        );
        self.dead_letter(item.batch, item.event, &reason).await;
        true
    }

    /// Whether a conflict is with ourselves: the document was made by a request whose answer was lost.
    fn is_own_duplicate(&self, item: &Item, code: u16) -> bool {
        code == StatusCode::CONFLICT && item.is_doubtful && item.action == Action::Create
    }

    fn is_logged(&self, outcome: &Outcome) -> bool {
        !outcome.error_type().is_some_and(|kind| self.rules.silent_errors.iter().any(|silent| silent == kind))
    }

    /// Two requests in place of one that is too large; a single document can't be delivered at all.
    async fn halve(&mut self, request: Request) -> Result<Vec<Request>, OutputError> {
        if let [item] = request.items.as_slice() {
            self.counts.dead_letters.add(1);
            let action = request.action_line(item);
            let reason = format!(
                "Could not index event to Elasticsearch. status: 413, action: {action}, response: payload_too_large, \
                 {} bytes",
                request.plain_len()
            );
            self.dead_letter(item.batch, item.event, &reason).await;
            return Ok(Vec::new());
        }
        let (first, second) = request.items.split_at(request.items.len().div_ceil(2));
        Ok(vec![request.only(second.to_vec()), request.only(first.to_vec())])
    }

    async fn dead_letter(&self, batch: usize, event: usize, reason: &str) {
        self.cx.metrics.events_rejected.add(1);
        if let Some(event) = self.events.get(batch).and_then(|events| events.get(event)) {
            self.cx.dead_letters.write(event, reason).await;
        } else if let Some(payload) = self.payloads.get(batch) {
            self.cx.dead_letters.write(&payload.remains_of(event), reason).await;
        }
    }
}

fn headers(request: &Request) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(EVENT_COUNT, HeaderValue::from(request.items.len()));
    headers.insert(UNCOMPRESSED_LENGTH, HeaderValue::from(request.plain_len()));
    if request.is_gzip() {
        headers.insert(CONTENT_ENCODING, GZIP);
    }
    headers
}

fn doubt(request: &mut Request) {
    request.items.iter_mut().for_each(|item| item.is_doubtful = true);
}

/// The thread that writes or compresses requests panicked, or the process is at its end.
pub(super) fn broken_thread(error: tokio::task::JoinError) -> OutputError {
    OutputError::Fatal(format!("a bulk request can't be written: {error}"))
}
