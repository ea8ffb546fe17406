//! Host names of addresses, as the system knows them.
//!
//! A look-up can take as long as a resolver that does not answer. It runs in a thread of its own, not of the runtime's,
//! so that not even the end of the process waits for it; the connection waits for a while and takes the address then.

use super::origin::address_text;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

/// How long connections of one address wait for its name, all together.
const LOOKUP_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a name is believed, and that there is none.
const NAME_AGE_MAX: Duration = Duration::from_secs(60);
/// Addresses that are remembered.
const NAMES_MAX: usize = 10_000;
/// Look-ups at a time.
const THREADS_MAX: usize = 16;

/// A way to find the name of an address.
type Resolve = fn(IpAddr) -> Option<String>;

/// The names of the addresses that connected lately.
pub(super) struct Names {
    resolve: Resolve,
    lookups: Mutex<HashMap<IpAddr, Lookup>>,
    threads: Arc<Semaphore>,
}

#[derive(Clone)]
struct Lookup {
    since: Instant,
    name: Shared<BoxFuture<'static, Option<Arc<str>>>>,
}

impl Default for Names {
    fn default() -> Names {
        Names::new(resolve)
    }
}

impl Names {
    fn new(resolve: Resolve) -> Names {
        Names { resolve, lookups: Mutex::default(), threads: Arc::new(Semaphore::new(THREADS_MAX)) }
    }

    /// The name of `ip`, or its address where none is found in time.
    pub(super) async fn of(&self, ip: IpAddr) -> Arc<str> {
        let Lookup { since, name } = self.lookup(ip);
        let found = timeout_at(since + LOOKUP_TIME_MAX, name).await;
        found.ok().flatten().unwrap_or_else(|| address_text(ip).into())
    }

    /// The look-up of `ip` that was begun lately, or now.
    fn lookup(&self, ip: IpAddr) -> Lookup {
        let mut lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |lookup: &Lookup| lookup.since.elapsed() < NAME_AGE_MAX;
        if let Some(known) = lookups.get(&ip).filter(|lookup| is_fresh(lookup)) {
            return known.clone();
        }
        if lookups.len() >= NAMES_MAX {
            lookups.retain(|_, lookup| is_fresh(lookup));
        }
        if lookups.len() >= NAMES_MAX {
            lookups.clear();
        }
        let lookup = Lookup { since: Instant::now(), name: self.begin(ip) };
        lookups.insert(ip, lookup.clone());
        lookup
    }

    /// A task, so that it goes on when nobody waits any more: the next connection gets the name.
    fn begin(&self, ip: IpAddr) -> Shared<BoxFuture<'static, Option<Arc<str>>>> {
        let (resolve, threads) = (self.resolve, Arc::clone(&self.threads));
        let task = tokio::spawn(async move {
            let permit = threads.acquire_owned().await.ok()?;
            let (sender, name) = oneshot::channel();
            let thread = std::thread::Builder::new().name("reverse-lookup".into());
            let look = move || {
                // Nobody may want it any more.
                let _ = sender.send(resolve(ip));
                drop(permit);
            };
            thread.spawn(look).ok()?;
            name.await.ok()?.map(Arc::from)
        });
        task.map(|name| name.ok().flatten()).boxed().shared()
    }
}

/// The name of an address, if that name has the address: whoever runs the reverse zone may claim any name.
fn resolve(ip: IpAddr) -> Option<String> {
    let name = dns_lookup::lookup_addr(&ip).ok()?;
    let mut addresses = dns_lookup::lookup_host(&name).ok()?;
    addresses.any(|address| address == ip).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    #[tokio::test]
    async fn a_name_is_looked_up_once() {
        static LOOKUPS: AtomicU32 = AtomicU32::new(0);
        let names = Names::new(|_| {
            LOOKUPS.fetch_add(1, Ordering::Relaxed);
            Some("client.example".into())
        });
        let (one, two) = tokio::join!(names.of(IP), names.of(IP));
        assert_eq!(
            (&*one, &*two, &*names.of(IP).await),
            ("client.example", "client.example", "client.example")
        );
        assert_eq!(LOOKUPS.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_address_without_a_name_is_its_own() {
        assert_eq!(&*Names::new(|_| None).of(IP).await, "192.0.2.7");
        assert_eq!(&*Names::new(|_| panic!("resolver")).of(IP).await, "192.0.2.7");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long_for_a_resolver_that_hangs() {
        static IS_BACK: AtomicBool = AtomicBool::new(false);
        let names = Names::new(|_| {
            while !IS_BACK.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            Some("late.example".into())
        });
        let started = Instant::now();
        assert_eq!(&*names.of(IP).await, "192.0.2.7");
        assert_eq!(&*names.of(IP).await, "192.0.2.7");
        assert!(started.elapsed() < LOOKUP_TIME_MAX + Duration::from_millis(100));
        IS_BACK.store(true, Ordering::Relaxed);
        // The clock is stopped; the thread is not.
        while names.threads.available_permits() < THREADS_MAX {
            tokio::task::yield_now().await;
        }
        while &*names.of(IP).await != "late.example" {}
    }

    #[tokio::test]
    async fn no_more_addresses_are_remembered_than_the_limit() {
        let names = Names::new(|_| None);
        for n in 0..=NAMES_MAX as u32 {
            let _ = names.lookup(IpAddr::V4(n.into()));
        }
        assert!(names.lookups.lock().unwrap().len() <= NAMES_MAX);
    }

    #[test]
    fn the_system_is_asked() {
        // An address for documentation has no name anywhere.
        assert_eq!(resolve(IP), None);
    }
}
