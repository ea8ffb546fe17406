//! How the end of a pipeline reaches its parts.

use tokio_util::sync::CancellationToken;

/// Two signals, handed down from the agent: stop reading, and give up.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    stop: CancellationToken,
    abandon: CancellationToken,
}

impl Shutdown {
    /// A pipeline that goes on for now.
    pub fn new() -> Shutdown {
        Shutdown::default()
    }

    /// Tells inputs to stop reading. What was read is still delivered.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Tells outputs that the grace time is over: what they have not delivered is abandoned.
    pub fn abandon(&self) {
        self.stop.cancel();
        self.abandon.cancel();
    }

    /// Waits until inputs are to stop.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Whether inputs are to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until outputs are to give up.
    pub async fn abandoned(&self) {
        self.abandon.cancelled().await;
    }

    /// Whether outputs are to give up.
    pub fn is_abandoned(&self) -> bool {
        self.abandon.is_cancelled()
    }

    /// The signal to stop, for libraries that take a token.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }
}
