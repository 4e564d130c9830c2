//! Brains' names and where they are. The system's resolver blocks, for as long as it likes: so each
//! name is asked for on a thread of its own, by one at a time, and whoever waits has a deadline.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot, watch};

/// The resolver. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Names(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    runtime: Handle,
    resolve: Resolve,
    /// One for each thread that may be there.
    threads: Arc<Semaphore>,
    /// Names that are being asked for, and what will be known of them.
    asked: Mutex<HashMap<String, watch::Receiver<Option<Found>>>>,
}

/// Addresses, or why there are none.
type Found = Result<Vec<IpAddr>, String>;

/// Asks for a name; may block.
type Resolve = fn(&str) -> io::Result<Vec<IpAddr>>;

impl Names {
    /// With the system's resolver.
    pub(super) fn new(runtime: Handle) -> Self {
        Self::resolved_by(system, runtime)
    }

    fn resolved_by(resolve: Resolve, runtime: Handle) -> Self {
        let (threads, asked) = (Arc::new(Semaphore::new(THREADS)), Mutex::default());
        Self(Arc::new(Inner { runtime, resolve, threads, asked }))
    }

    /// Where `host` is. Of a resolver that hangs one thread is held, however many calls ask for the
    /// same name; with [`THREADS`] names that hang, other names wait, and fail at their deadline.
    pub(super) async fn find(&self, host: &str, deadline: Instant) -> Found {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let mut known = self.ask(host);
        let known = known.wait_for(Option::is_some);
        match tokio::time::timeout_at(deadline.into(), known).await {
            Ok(Ok(found)) => found.clone().unwrap_or_else(|| Err(FELL_OVER.into())),
            Ok(Err(_)) => Err(FELL_OVER.into()),
            Err(_) => Err("its name could not be looked up in time".into()),
        }
    }

    fn ask(&self, host: &str) -> watch::Receiver<Option<Found>> {
        let mut asked = self.asked();
        if let Some(known) = asked.get(host) {
            return known.clone();
        }
        let (tell, known) = watch::channel(None);
        asked.insert(host.to_owned(), known.clone());
        let (this, host) = (self.clone(), host.to_owned());
        self.0.runtime.spawn(async move {
            let found = this.look_up(&host).await;
            // Whoever asks from here on asks anew.
            this.asked().remove(&host);
            tell.send_replace(Some(found));
        });
        known
    }

    async fn look_up(&self, host: &str) -> Found {
        let threads = self.0.threads.clone();
        // It is never closed.
        let place = threads.acquire_owned().await.map_err(|error| error.to_string())?;
        let (tell, told) = oneshot::channel();
        let (resolve, host) = (self.0.resolve, host.to_owned());
        let look = move || {
            let found = resolve(&host);
            drop(place);
            // The worker may have stopped.
            let _ = tell.send(found);
        };
        let thread = std::thread::Builder::new().name("vox-names".into()).spawn(look);
        thread.map_err(|error| format!("its name cannot be looked up: {error}"))?;
        match told.await {
            Ok(found) => found.map_err(|error| error.to_string()),
            Err(_) => Err(FELL_OVER.into()),
        }
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Option<Found>>>> {
        // Nothing in between panics.
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn system(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// At a time. A name takes milliseconds, or hangs: with this many bots' names hanging the resolver
/// is what is broken.
const THREADS: usize = 16;
const FELL_OVER: &str = "the lookup of its name fell over";

#[cfg(test)]
mod tests;
