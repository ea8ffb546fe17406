//! The signals that the process answers, instead of being ended by them.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
pub(crate) enum Asked {
    End(&'static str),
    Reload,
}

/// What comes sooner after a SIGTERM is the same one: `timeout` and whoever ends a group of processes send it twice.
const TERMINATE_AGAIN: Duration = Duration::from_secs(1);

/// See [`Signals::next`].
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    /// When the last SIGTERM came.
    terminated: Option<Instant>,
    /// Watched so that it does not end the process: a file at its limit of size is an error of the write.
    _file_size: Signal,
}

impl Signals {
    /// Watches them from now on, within a runtime.
    pub(crate) fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            terminated: None,
            _file_size: signal(SignalKind::from_raw(libc::SIGXFSZ))?,
        })
    }

    /// The next of them.
    pub(crate) async fn next(&mut self) -> Asked {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return Asked::End("SIGINT"),
                _ = self.terminate.recv() => {
                    if self.terminated.is_none_or(|last| last.elapsed() >= TERMINATE_AGAIN) {
                        self.terminated = Some(Instant::now());
                        return Asked::End("SIGTERM");
                    }
                }
                _ = self.hangup.recv() => return Asked::Reload,
            }
        }
    }
}
