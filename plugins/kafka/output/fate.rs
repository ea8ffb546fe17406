//! What follows from an error.

use rdkafka::error::RDKafkaErrorCode::{self, *};

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
