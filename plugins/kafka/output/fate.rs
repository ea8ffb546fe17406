//! What follows from an error.

use ferrostash_plugin::{OutputBatch, OutputContext};
use rdkafka::error::RDKafkaErrorCode::{self, *};

use super::records::Payload;

/// What becomes of an event that was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It, or its topic, can never be accepted.
    Never,
    /// Something of its batch can never be accepted; perhaps another event of it.
    Apart,
    /// librdkafka has sent it as often as it may, or for as long.
    Spent,
    /// It may be accepted later.
    Later,
}

/// Makes an event a dead letter, because of `code`.
pub(super) async fn bury(
    batch: &OutputBatch,
    payload: &Payload,
    record: usize,
    code: RDKafkaErrorCode,
    cx: &OutputContext,
) {
    let Some(number) = payload.event_of(record) else { return };
    let topic = payload.parts_of(record).map(|parts| parts.topic.to_owned()).unwrap_or_default();
    let reason = format!("Kafka does not accept it in the topic \"{topic}\": {code}");
    match batch.events().nth(number) {
        Some(event) => cx.bury(event, &reason).await,
        None => cx.bury(&payload.remains_of(number), &reason).await,
    }
}

/// The fate of an event that was answered with `code`. What is not known may pass: an event is given up only for a reason.
pub(super) fn of(code: RDKafkaErrorCode) -> Fate {
    match code {
        // The topic's name, what its rules forbid, and what neither topic nor broker can ever store.
        InvalidTopic
        | InvalidArgument
        | PolicyViolation
        | UnsupportedCompressionType
        | UnsupportedFeature
        | UnsupportedForMessageFormat => Fate::Never,
        // Brokers answer for a whole batch.
        InvalidMessageSize | InvalidRecord | InvalidTimestamp | MessageBatchTooLarge
        | MessageSizeTooLarge => Fate::Apart,
        BrokerTransportFailure
        | InvalidMessage
        | KafkaStorageError
        | NotEnoughReplicas
        | NotEnoughReplicasAfterAppend
        | OperationTimedOut
        | RequestTimedOut
        | SSL => Fate::Spent,
        _ => Fate::Later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_granted_or_made_is_waited_for() {
        for code in [
            Authentication,
            ClusterAuthorizationFailed,
            Fatal,
            InvalidDifferentRecord,
            PurgeQueue,
            SaslAuthenticationFailed,
            TopicAuthorizationFailed,
            UnknownPartition,
            UnknownTopic,
            UnknownTopicOrPartition,
        ] {
            assert_eq!(of(code), Fate::Later, "{code:?}");
        }
    }
}
