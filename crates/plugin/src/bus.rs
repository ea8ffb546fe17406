//! The ways between pipelines: the `pipeline` output sends to addresses, a `pipeline` input listens at one.
//!
//! A chunk carries the acks of the events it was made of, so what becomes of it in the receiving pipeline reaches the
//! input that read it first. The channel to a listener is narrow: a full receiving pipeline blocks the sending one.
//!
//! When the process ends, a listener goes on until the pipelines before it are done, so that chains run empty in order.
//! Pipelines that feed themselves through others are never waited for, and nobody waits for an address that will not
//! come back: a cycle ends as fast as a chain.

use crate::input::Chunk;
use ahash::AHashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

/// Chunks that wait between a sender and the listener's queue.
const CHUNKS_WAITING_MAX: usize = 1;

/// All addresses of a process; clones are the same bus.
#[derive(Clone, Debug)]
pub struct Bus(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    routes: Mutex<Routes>,
    /// Changes whenever `routes` does; what waits for an address or for senders waits for this.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Routes {
    listeners: AHashMap<Arc<str>, Bound>,
    senders: Vec<Registered>,
    next_id: u64,
    is_ending: bool,
}

#[derive(Debug)]
struct Bound {
    pipeline: Arc<str>,
    chunks: mpsc::Sender<Chunk>,
    id: u64,
}

#[derive(Debug)]
struct Registered {
    pipeline: Arc<str>,
    addresses: Vec<Arc<str>>,
    id: u64,
}

impl Default for Bus {
    fn default() -> Self {
        Bus(Arc::new(Shared { routes: Mutex::default(), changes: watch::Sender::new(0) }))
    }
}

/// Another pipeline listens there; displays as Logstash's sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Internal input at '{0}' already bound! Addresses must be globally unique across pipelines.")]
pub struct AddressTaken(pub String);

/// Nobody listens at the address: the chunk comes back.
#[derive(Debug)]
pub struct Undelivered(pub Chunk);

/// The process ends and the address will not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the process ends and nobody listens any more")]
pub struct Ending;

impl Bus {
    /// Listens at `address` for `pipeline` until the listener is dropped.
    ///
    /// # Errors
    /// [`AddressTaken`] while another listener is there.
    pub fn listen(&self, address: &str, pipeline: &str) -> Result<BusListener, AddressTaken> {
        let (chunks, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
        let address: Arc<str> = address.into();
        let mut routes = self.routes();
        if routes.listeners.contains_key(&address) {
            return Err(AddressTaken(address.to_string()));
        }
        let id = routes.next_id();
        routes.listeners.insert(Arc::clone(&address), Bound { pipeline: pipeline.into(), chunks, id });
        drop(routes);
        self.changed();
        Ok(BusListener { bus: self.clone(), address, pipeline: pipeline.into(), receiver, id })
    }

    /// Says that `pipeline` sends to these addresses until the sender is dropped.
    pub fn sender(&self, addresses: &[String], pipeline: &str) -> BusSender {
        let mut routes = self.routes();
        let id = routes.next_id();
        let addresses = addresses.iter().map(|address| address.as_str().into()).collect();
        routes.senders.push(Registered { pipeline: pipeline.into(), addresses, id });
        drop(routes);
        self.changed();
        BusSender { bus: self.clone(), id }
    }

    /// Says that all pipelines are about to stop: listeners wait for their senders from now on.
    pub fn end(&self) {
        self.routes().is_ending = true;
        self.changed();
    }

    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.0.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.0.changes.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// Waits until `check` gives something; it is asked again whenever the routes change.
    async fn wait<T>(&self, check: impl Fn(&Routes) -> Option<T>) -> T {
        let mut changes = self.0.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(result) = check(&self.routes()) {
                return result;
            }
            // The sender lives as long as this bus.
            let _ = changes.changed().await;
        }
    }
}

impl Routes {
    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Whether something still sends to `address` that is not itself fed by `pipeline`.
    fn is_fed(&self, address: &str, pipeline: &str) -> bool {
        let mut senders = self.senders.iter().filter(|sender| sender.sends_to(address));
        senders.any(|sender| !self.leads_to(pipeline, &sender.pipeline))
    }

    /// Whether events of pipeline `from` can reach pipeline `to`; every pipeline reaches itself.
    fn leads_to(&self, from: &str, to: &str) -> bool {
        let mut reached: Vec<&str> = vec![from];
        let mut next = 0;
        while let Some(&pipeline) = reached.get(next) {
            next += 1;
            let senders = self.senders.iter().filter(|sender| &*sender.pipeline == pipeline);
            for address in senders.flat_map(|sender| &sender.addresses) {
                let listener = self.listeners.get(address).map(|bound| &*bound.pipeline);
                reached.extend(listener.filter(|listener| !reached.contains(listener)));
            }
        }
        reached.contains(&to)
    }
}

impl Registered {
    fn sends_to(&self, address: &str) -> bool {
        self.addresses.iter().any(|known| &**known == address)
    }
}

/// The receiving end of an address. Dropping it frees the address.
#[derive(Debug)]
pub struct BusListener {
    bus: Bus,
    address: Arc<str>,
    pipeline: Arc<str>,
    receiver: mpsc::Receiver<Chunk>,
    id: u64,
}

impl BusListener {
    /// The next chunk; `None` when [`BusListener::stop`] was called and all is taken. Cancel-safe.
    pub async fn receive(&mut self) -> Option<Chunk> {
        self.receiver.recv().await
    }

    /// Takes nothing new from senders; what they delivered can still be received.
    pub fn stop(&mut self) {
        self.receiver.close();
    }

    /// Returns when this listener may stop: at once, or, when the process ends, when nobody sends to it any more.
    pub fn senders_done(&self) -> impl Future<Output = ()> + Send + use<> {
        let (bus, address, pipeline) =
            (self.bus.clone(), Arc::clone(&self.address), Arc::clone(&self.pipeline));
        async move {
            let done =
                |routes: &Routes| (!routes.is_ending || !routes.is_fed(&address, &pipeline)).then_some(());
            bus.wait(done).await;
        }
    }
}

impl Drop for BusListener {
    fn drop(&mut self) {
        let mut routes = self.bus.routes();
        if routes.listeners.get(&self.address).is_some_and(|bound| bound.id == self.id) {
            routes.listeners.remove(&self.address);
        }
        drop(routes);
        self.bus.changed();
        // What was delivered and not received is gone: it must be read again.
        self.receiver.close();
        while let Ok(chunk) = self.receiver.try_recv() {
            chunk.abandon();
        }
    }
}

/// The sending end of some addresses.
#[derive(Debug)]
pub struct BusSender {
    bus: Bus,
    id: u64,
}

impl BusSender {
    /// Hands `chunk` to the listener at `address`, waiting while it is busy.
    ///
    /// # Errors
    /// [`Undelivered`] where nobody listens.
    pub async fn send(&self, address: &str, chunk: Chunk) -> Result<(), Undelivered> {
        let listener = self.bus.routes().listeners.get(address).map(|bound| bound.chunks.clone());
        match listener {
            None => Err(Undelivered(chunk)),
            Some(chunks) => chunks.send(chunk).await.map_err(|refused| Undelivered(refused.0)),
        }
    }

    /// Whether somebody listens at `address`.
    pub fn is_listening(&self, address: &str) -> bool {
        is_open(&self.bus.routes(), address)
    }

    /// Waits until somebody listens at `address`.
    ///
    /// # Errors
    /// [`Ending`] when the process ends, since nobody will.
    pub async fn listening(&self, address: &str) -> Result<(), Ending> {
        let check = |routes: &Routes| match is_open(routes, address) {
            true => Some(Ok(())),
            false => routes.is_ending.then_some(Err(Ending)),
        };
        self.bus.wait(check).await
    }
}

/// A listener that has stopped receives no more, although the address is still its own.
fn is_open(routes: &Routes, address: &str) -> bool {
    routes.listeners.get(address).is_some_and(|bound| !bound.chunks.is_closed())
}

impl Drop for BusSender {
    fn drop(&mut self) {
        self.bus.routes().senders.retain(|sender| sender.id != self.id);
        self.bus.changed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ack::AckTracker;
    use std::time::Duration;
    use tokio::time::timeout;

    fn addresses(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn empty() -> Chunk {
        Chunk::new(Vec::new(), Vec::new())
    }

    #[tokio::test]
    async fn one_listener_per_address() {
        let bus = Bus::default();
        let first = bus.listen("a", "p").unwrap();
        assert_eq!(
            bus.listen("a", "q").unwrap_err().to_string(),
            "Internal input at 'a' already bound! Addresses must be globally unique across pipelines."
        );
        drop(first);
        bus.listen("a", "q").unwrap();
    }

    #[tokio::test]
    async fn a_sender_waits_for_its_address_and_for_room() {
        let bus = Bus::default();
        let sender = bus.sender(&addresses(&["a"]), "up");
        assert!(sender.send("a", empty()).await.is_err());
        let mut listener = {
            let bus = bus.clone();
            let waiting = tokio::spawn(async move { sender.listening("a").await.map(|()| sender) });
            let listener = bus.listen("a", "down").unwrap();
            let sender = waiting.await.unwrap().unwrap();
            sender.send("a", empty()).await.unwrap();
            let full = timeout(Duration::from_millis(20), sender.send("a", empty())).await;
            assert!(full.is_err(), "the channel holds one chunk");
            listener
        };
        assert!(listener.receive().await.is_some());
        listener.stop();
        assert!(listener.receive().await.is_none());
    }

    #[tokio::test]
    async fn chains_end_in_order_and_cycles_end_at_once() {
        let bus = Bus::default();
        let up = bus.sender(&addresses(&["a"]), "one");
        let listener = bus.listen("a", "two").unwrap();
        timeout(Duration::from_secs(1), listener.senders_done()).await.expect("a reload does not wait");
        bus.end();
        assert!(timeout(Duration::from_millis(20), listener.senders_done()).await.is_err());
        drop(up);
        timeout(Duration::from_secs(1), listener.senders_done()).await.unwrap();

        let _back = bus.sender(&addresses(&["b"]), "two");
        let _on = bus.listen("b", "three").unwrap();
        let _round = bus.sender(&addresses(&["a"]), "three");
        timeout(Duration::from_secs(1), listener.senders_done())
            .await
            .expect("two feeds itself through three");
        let lost = bus.sender(&addresses(&["none"]), "two");
        assert_eq!(lost.listening("none").await, Err(Ending));
    }

    #[tokio::test]
    async fn chunks_that_nobody_took_are_abandoned() {
        let bus = Bus::default();
        let mut tracker = AckTracker::new(1);
        let listener = bus.listen("a", "down").unwrap();
        let sender = bus.sender(&addresses(&["a"]), "up");
        let ack = tracker.issue(1).await;
        sender.send("a", Chunk::new(Vec::new(), vec![ack])).await.unwrap();
        drop(listener);
        assert_eq!(tracker.next_settled().await, None);
        assert!(tracker.is_abandoned());
    }
}
