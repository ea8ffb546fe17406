//! Delivering batches: send, read what became of each document, repeat what is open.
//!
//! | answer | what happens |
//! |---|---|
//! | document: 200, 201 | done |
//! | document: 409 on a `create` of our own making | done: an earlier request made it |
//! | document: 409 else, or an error of `drop_error_types` | dropped, with a warning |
//! | document: 400, 404, 413, or one of `dlq_custom_codes` | dead letter |
//! | document: refused because of its index | waits aside, see `quarantine`; 400 and 404 only where no dead letters are kept |
//! | document: anything else | this document is sent again, for ever |
//! | request: 413, or 400 because of an action in it | halved; one document alone is a dead letter |
//! | request: any other error, or no answer | the request is sent again, for ever, as soon as a node is well |
//! | another number of outcomes than documents | the same |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ferrostash_event::Event;
use ferrostash_net::http_client::HttpResponse;
use ferrostash_plugin::{Backoff, Counter, OutputContext, OutputError, PluginMetrics};
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode};
use memchr::memmem;

use super::action::Action;
use super::answer::{Answer, Outcome};
use super::bulk::{Item, Payload, Request, Shape};
use super::nodes::{InUse, NoAnswer, Nodes};
use super::quarantine::{Quarantine, is_of_index};
use super::retry_after::retry_after;

const EVENT_COUNT: HeaderName = HeaderName::from_static("x-elastic-event-count");
const UNCOMPRESSED_LENGTH: HeaderName = HeaderName::from_static("x-elastic-uncompressed-request-length");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
/// What is shown of an answer in the log, in bytes.
const LOGGED_BYTES_MAX: usize = 1024;
/// What an answer has for each document that went to a failure store.
const DIVERTED: &[u8] = b"\"failure_store\":\"used\"";
/// Documents with these answers are dead letters.
pub(super) const DEAD_LETTER_CODES: [u16; 2] = [400, 404];

/// What the options say about answers.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// More statuses that make a dead letter of a document.
    pub(super) dead_letter_codes: Vec<u16>,
    pub(super) dropped_errors: Vec<String>,
    /// Errors that are not logged.
    pub(super) silent_errors: Vec<String>,
    pub(super) retry_first: Duration,
    pub(super) retry_max: Duration,
}

impl Rules {
    /// The waits between repetitions.
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.retry_first, self.retry_max)
    }
}

/// What is counted.
#[derive(Debug)]
pub(super) struct Counts {
    requests_successes: Arc<Counter>,
    requests_with_errors: Arc<Counter>,
    requests_failures: Arc<Counter>,
    successes: Arc<Counter>,
    /// Of the successes, those that an earlier request had made.
    repeated: Arc<Counter>,
    /// Of the successes, those that the cluster diverted.
    failure_store: Arc<Counter>,
    dead_letters: Arc<Counter>,
    non_retryable: Arc<Counter>,
    retryable: Arc<Counter>,
    /// 1 while the cluster does not accept who we are.
    unauthorized: Arc<Counter>,
    is_unauthorized: AtomicBool,
    /// What the cluster is called in messages.
    product: &'static str,
}

impl Counts {
    pub(super) fn new(metrics: &PluginMetrics, product: &'static str) -> Counts {
        let counter = |group, name| metrics.counter(&[group, name]);
        Counts {
            requests_successes: counter("bulk_requests", "successes"),
            requests_with_errors: counter("bulk_requests", "with_errors"),
            requests_failures: counter("bulk_requests", "failures"),
            successes: counter("documents", "successes"),
            repeated: counter("documents", "repeated"),
            failure_store: counter("documents", "failure_store"),
            dead_letters: counter("documents", "dlq_routed"),
            non_retryable: counter("documents", "non_retryable_failures"),
            retryable: counter("documents", "retryable_failures"),
            unauthorized: metrics.gauge(&["bulk_requests", "unauthorized"]),
            is_unauthorized: AtomicBool::new(false),
            product,
        }
    }

    /// Notes how many documents were accepted, and are not where they were sent to.
    fn diverted(&self, body: &[u8]) {
        let documents = memmem::find_iter(body, DIVERTED).count() as u64;
        if documents > 0 {
            self.failure_store.add(documents);
            tracing::warn!(
                limited = true,
                documents,
                "Documents were diverted to the failure store of their data stream"
            );
        }
    }

    /// Notes whether the cluster accepts who we are.
    fn authorized(&self, status: StatusCode) {
        let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status);
        if self.is_unauthorized.load(Ordering::Relaxed) == refused {
            return;
        }
        self.is_unauthorized.store(refused, Ordering::Relaxed);
        self.unauthorized.set(refused.into());
        if !refused {
            tracing::info!("Elasticsearch accepts the credentials again; delivery goes on");
        }
    }

    fn reason(&self, action: &str, code: u16, error: &str) -> String {
        let product = self.product;
        format!("Could not index event to {product}. status: {code}, action: {action}, response: {error}")
    }
}

/// The delivery of some batches.
pub(super) struct Delivery<'d> {
    pub(super) nodes: &'d Nodes,
    pub(super) rules: &'d Rules,
    pub(super) counts: &'d Counts,
    pub(super) quarantine: &'d Quarantine,
    /// The events of each batch, where they are still there.
    pub(super) events: Vec<Vec<&'d Event>>,
    pub(super) payloads: &'d [Arc<Payload>],
    pub(super) cx: &'d OutputContext,
    pub(super) backoff: Backoff,
    /// Documents that their index keeps from being delivered.
    pub(super) aside: Vec<Aside>,
}

/// A document that waits for its index.
#[derive(Debug)]
pub(super) struct Aside {
    pub(super) item: Item,
    /// What the cluster said; nothing where it was not asked.
    pub(super) refusal: Option<Refusal>,
}

/// Why an index takes no documents.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) error: String,
}

impl Refusal {
    /// Whether such documents are dropped, or dead letters, in the end.
    pub(super) fn is_for_good(&self) -> bool {
        DEAD_LETTER_CODES.contains(&self.status)
    }
}

/// How a request ended.
enum Sent {
    Answered(Answer),
    /// Because of its size, or of a document in it.
    Refused {
        code: u16,
        error: String,
    },
    /// `in_doubt`: it may have been carried out.
    Failed {
        in_doubt: bool,
    },
    NoNode,
}

/// What becomes of a document.
enum Fate {
    Settled,
    Again,
    Aside,
}

impl Delivery<'_> {
    /// Delivers the payloads of the batches; returns when each of their documents is settled or [aside](Self::aside).
    /// Documents of an index that is in quarantine are set aside at once where `around_quarantine`.
    ///
    /// # Errors
    /// The grace time is over.
    pub(super) async fn all(&mut self, shape: Shape, around_quarantine: bool) -> Result<(), OutputError> {
        for (batch, payload) in self.payloads.iter().enumerate() {
            for (event, reason) in &payload.unmappable {
                self.counts.non_retryable.add(1);
                self.dead_letter(batch, *event, reason).await;
            }
        }
        let mut aside = Vec::new();
        let around = around_quarantine && !self.quarantine.is_empty();
        let mut open = Request::all(self.payloads, shape, |line, item| {
            let stays_out = around && self.quarantine.holds(line);
            if stays_out {
                aside.push(Aside { item: item.clone(), refusal: None });
            }
            !stays_out
        });
        self.aside = aside;
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
                Ok(vec![request])
            }
            Sent::Refused { code, error } => self.halve(request, code, &error).await,
            Sent::Failed { in_doubt } => {
                self.counts.requests_failures.add(1);
                if in_doubt {
                    doubt(&mut request);
                }
                Ok(vec![request])
            }
            Sent::NoNode => {
                self.counts.requests_failures.add(1);
                tracing::error!(
                    limited = true,
                    "Attempted to send a bulk request but there are no living connections in the pool (perhaps {} is unreachable or down?)",
                    self.counts.product
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
        let (answer, node) = match self.nodes.bulk(headers(request), request.body().into()).await {
            Ok(answered) => answered,
            Err(NoAnswer::NoNode) => return Sent::NoNode,
            Err(NoAnswer::Unreachable(error)) => {
                tracing::error!(
                    limited = true,
                    %error,
                    "Attempted to send a bulk request but {} appears to be unreachable or down",
                    self.counts.product
                );
                return Sent::Failed { in_doubt: !error.is_unsent() };
            }
        };
        self.cx.metrics.counter(&["bulk_requests", "responses", answer.status.as_str()]).add(1);
        self.counts.authorized(answer.status);
        if answer.status.is_success() {
            self.counts.diverted(&answer.body);
            let read = Answer::read(&answer.body, request.items.len());
            match &read {
                Answer::Unclear(_) => node.ails(None),
                _ => node.is_well(),
            }
            return Sent::Answered(read);
        }
        self.failed(request, &answer, &node)
    }

    /// What follows from an answer that is an error as a whole.
    fn failed(&self, request: &Request, answer: &HttpResponse, node: &InUse<'_>) -> Sent {
        let code = answer.status.as_u16();
        let documents = request.items.len();
        let body = String::from_utf8_lossy(answer.body.get(..LOGGED_BYTES_MAX).unwrap_or(&answer.body));
        match answer.status {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let size = request.plain_len();
                tracing::warn!(
                    limited = true,
                    documents,
                    size,
                    "Bulk request rejected: `413 Payload Too Large`"
                );
                node.is_well();
                return Sent::Refused { code, error: format!("payload_too_large, {size} bytes") };
            }
            StatusCode::BAD_REQUEST if is_of_an_action(&answer.body) => {
                tracing::warn!(limited = true, documents, %body, "Bulk request rejected because of a document in it");
                node.is_well();
                return Sent::Refused { code, error: body.into_owned() };
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => tracing::error!(
                limited = true,
                code,
                %body,
                "Elasticsearch refuses our credentials or privileges; events wait until it accepts them"
            ),
            // Not an error: the cluster asks for time.
            StatusCode::TOO_MANY_REQUESTS => tracing::debug!(
                code,
                %body,
                "Encountered a retryable error (will retry with exponential backoff)"
            ),
            _ => tracing::error!(
                limited = true,
                code,
                %body,
                "Encountered a retryable error (will retry with exponential backoff)"
            ),
        }
        node.ails(retry_after(&answer.headers).map(|after| after.max(self.rules.retry_first)));
        // A gateway that gave up waiting has passed the request on.
        Sent::Failed { in_doubt: answer.status.is_server_error() }
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
            let fate = self.settle(&request, item, &outcome).await;
            if let Fate::Settled = fate {
                continue;
            }
            self.counts.retryable.add(1);
            if self.is_logged(&outcome) {
                let (code, error) = (outcome.status, outcome.error_text());
                tracing::info!(limited = true, code, error, "Retrying failed action");
            }
            // It was answered for: it is not there.
            let item = item.clone().answered();
            match fate {
                Fate::Aside => {
                    let refusal = Refusal { status: outcome.status, error: outcome.error_text() };
                    self.aside.push(Aside { item, refusal: Some(refusal) });
                }
                _ => rest.push(item),
            }
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
        self.wait().await?;
        Ok(vec![request.only(rest)])
    }

    /// Whether a document is settled: accepted, dropped or dead-lettered.
    async fn settle(&self, request: &Request, item: &Item, outcome: &Outcome) -> Fate {
        let code = outcome.status;
        let is_repeated = is_own_duplicate(item, code);
        if [200, 201].contains(&code) || is_repeated {
            self.counts.successes.add(1);
            self.counts.repeated.add(is_repeated.into());
            return Fate::Settled;
        }
        let is_dropped_error =
            outcome.error_type().is_some_and(|kind| self.rules.dropped_errors.iter().any(|k| k == kind));
        if code == StatusCode::CONFLICT || is_dropped_error {
            self.drop_one(request.action_line(item), code, &outcome.error_text(), self.is_logged(outcome));
            return Fate::Settled;
        }
        let is_standard = DEAD_LETTER_CODES.contains(&code);
        let is_too_large = code == StatusCode::PAYLOAD_TOO_LARGE;
        let is_letter = is_standard || is_too_large || self.rules.dead_letter_codes.contains(&code);
        let is_of_index = outcome.error_type().is_some_and(is_of_index);
        // A dead letter is safe; without them the index gets a chance to come back.
        let may_wait = !is_letter || (is_standard && !self.cx.dead_letters.keeps_events());
        if is_of_index && may_wait && self.quarantine.takes(request.line(item), is_standard) {
            return Fate::Aside;
        }
        if !is_letter {
            return Fate::Again;
        }
        self.refuse(item, &request.action_line(item), code, &outcome.error_text()).await;
        Fate::Settled
    }

    /// A document that can't be delivered, and that nobody will miss.
    fn drop_one(&self, action: String, code: u16, error: &str, is_logged: bool) {
        self.counts.non_retryable.add(1);
        self.cx.metrics.events_dropped.add(1);
        if is_logged {
            tracing::warn!(limited = true, code, action, error, "Failed action");
        }
    }

    /// Makes a dead letter of a document that the cluster has refused.
    pub(super) async fn refuse(&self, item: &Item, action: &str, code: u16, error: &str) {
        self.counts.dead_letters.add(1);
        self.dead_letter(item.batch, item.event, &self.counts.reason(action, code, error)).await;
    }

    fn is_logged(&self, outcome: &Outcome) -> bool {
        !outcome.error_type().is_some_and(|kind| self.rules.silent_errors.iter().any(|silent| silent == kind))
    }

    /// Two requests in place of one that is refused; a single document can't be delivered at all.
    async fn halve(&mut self, request: Request, code: u16, error: &str) -> Result<Vec<Request>, OutputError> {
        if let [item] = request.items.as_slice() {
            self.refuse(item, &request.action_line(item), code, error).await;
            return Ok(Vec::new());
        }
        let (first, second) = request.items.split_at(request.items.len().div_ceil(2));
        Ok(vec![request.only(second.to_vec()), request.only(first.to_vec())])
    }

    async fn dead_letter(&self, batch: usize, event: usize, reason: &str) {
        if let Some(event) = self.events.get(batch).and_then(|events| events.get(event)) {
            self.cx.bury(event, reason).await;
        } else if let Some(payload) = self.payloads.get(batch) {
            self.cx.bury(&payload.remains_of(event), reason).await;
        }
    }
}

/// Makes a dead letter of an event whose document the cluster has refused.
pub(super) async fn refuse(
    counts: &Counts,
    cx: &OutputContext,
    event: &Event,
    action: &str,
    refusal: &Refusal,
) {
    counts.dead_letters.add(1);
    cx.bury(event, &counts.reason(action, refusal.status, &refusal.error)).await;
}

/// Whether a conflict is with ourselves: an earlier request made the document, and its answer was lost; or a delivery before
/// a restart did, where the id says where the event was read.
fn is_own_duplicate(item: &Item, code: u16) -> bool {
    code == StatusCode::CONFLICT && item.action == Action::Create && (item.is_doubtful || item.has_derived_id)
}

/// Errors of a whole request that one of its actions brings about: an id that is too long, a version that is no number.
const ERRORS_OF_ACTIONS: [&str; 3] =
    ["action_request_validation_exception", "illegal_argument_exception", "x_content_parse_exception"];

/// Whether the cluster says that it understood the request, but for one of its actions.
fn is_of_an_action(body: &[u8]) -> bool {
    let answer = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    let kind = answer.pointer("/error/type").and_then(serde_json::Value::as_str);
    kind.is_some_and(|kind| ERRORS_OF_ACTIONS.contains(&kind))
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
