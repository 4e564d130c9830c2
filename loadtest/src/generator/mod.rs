//! Real media of thousands of calls: what each says, and what it hears, counted as the caller hears
//! it.
//!
//! A [`Generator`] is a few threads, each with a ring of its own. [`Generator::open`] gives a
//! [`Leg`] its socket, whose address goes into the SDP; [`Leg::start`] lets it talk and listen once
//! the other side has answered; [`Leg::stop`] ends it and says what it was like.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use voxload::generator::*;
//! # use voxload::media::Agreed;
//! # async fn call(agreed: Agreed) -> Result<(), Box<dyn std::error::Error>> {
//! let generator = Generator::start(GeneratorConfig {
//!     cores: vec![1],
//!     legs_max: 2_000,
//!     bind: [127, 0, 0, 1].into(),
//! })?;
//! let speech = Speech::new(Speech::synthetic(30.0, 8_000), 8_000, Some(Markers::default()));
//! let leg = generator.open(LegSpec::talking(Arc::new(speech), 1))?;
//! println!("offer {}", leg.local());
//! leg.start(agreed);
//! tokio::time::sleep(std::time::Duration::from_secs(10)).await;
//! let report = leg.stop().await?;
//! println!("{} lost, MOS {:.2}", report.heard.lost(), report.mos);
//! let interval = generator.take().await;
//! println!("ours left {} µs late", interval.totals.send_late.value_at_quantile(0.999));
//! # Ok(())
//! # }
//! ```
//!
//! - **Pacing is absolute.** Each leg has its own phase of a 20 ms grid; a thread looks every
//!   millisecond and sends what is due in one batch. A late wake-up moves no later packet, and its
//!   lateness is counted; what is 200 ms late is skipped, and counted, too.
//! - **Arrival is when the kernel had the packet**, not when the thread looked.
//! - **Payloads are encoded once** for a codec and a [`Speech`]; a leg writes a header and copies.
//! - **Markers** ([`Markers`]) in the speech are found again in what is heard. G.711 is decoded whole
//!   for that. Of G.722 and Opus a leg decodes what comes until it has heard something, and then only
//!   around the time a marker is expected; where markers do not come back, after three only
//!   around every eighth one. So their first sound and their round trips are as exact, but a
//!   call that falls silent later is only noticed by its missing packets.
//! - Nothing on a packet's way allocates, locks, logs or makes a system call of its own.
//!
//! What it does not do: SIP, RTCP, SRTP, playing what is heard.

use std::net::UdpSocket;
use std::sync::Arc;
use std::thread::JoinHandle;

use vox_ring::sys;

mod config;
mod interval;
mod leg;
mod link;
mod marker;
mod quality;
mod report;
mod speech;
mod thread;

pub use config::{GeneratorConfig, LegSpec, Refused, StartError};
pub use interval::{Interval, ThreadInterval, Totals};
pub use leg::{Died, DigitsError, Leg};
use link::Link;
pub use marker::Sweep;
pub use report::{LateBuckets, LegReport, RoundTrips, Said, Sound};
pub use speech::{Markers, Speech};

/// The media of many calls. Ends its threads when it goes; legs that are still open are silent then.
#[derive(Debug)]
pub struct Generator {
    config: GeneratorConfig,
    links: Vec<Arc<Link>>,
    threads: Vec<JoinHandle<()>>,
    /// The kernel begins to stamp arrivals a little after the first socket has asked for it: this one
    /// is there before any leg's.
    _stamped: UdpSocket,
}

impl Generator {
    /// Starts the threads. What cannot work is said before a media socket is bound.
    pub fn start(config: GeneratorConfig) -> Result<Self, StartError> {
        config::check(&config)?;
        let stamped = UdpSocket::bind((config.bind, 0))
            .and_then(|socket| sys::stamp_arrivals(&socket).map(|()| socket))
            .map_err(|error| StartError::Bind(config.bind, error))?;
        let (links, threads) = (Vec::new(), Vec::new());
        let mut generator = Self { config, links, threads, _stamped: stamped };
        for n in 0..generator.config.threads() {
            let core = generator.config.cores.get(n).copied();
            let (link, ends) = Link::new(core, generator.config.legs_of_thread())?;
            generator.threads.push(thread::start(n, ends)?);
            generator.links.push(Arc::new(link));
        }
        Ok(generator)
    }

    /// Binds a socket for a leg and listens on it. The leg goes to the thread with the fewest.
    pub fn open(&self, spec: LegSpec) -> Result<Leg, Refused> {
        if spec.network.delay_max() > config::DELAY_MAX {
            return Err(Refused::Delay(spec.network.delay_max()));
        }
        let fewest = self.links.iter().min_by_key(|link| link.legs());
        let link = fewest.ok_or(Refused::AtCapacity(0))?;
        let key = link.take_row().ok_or(Refused::AtCapacity(self.config.legs_max))?;
        Leg::open(link.clone(), key, self.config.bind, spec)
    }

    /// What happened since this was called last, and what it cost. For one caller: each call begins
    /// a new interval.
    pub async fn take(&self) -> Interval {
        let mut interval = Interval::default();
        for link in &self.links {
            let (totals, thread) = link.take_interval().await;
            interval.totals.add(&totals);
            interval.threads.push(thread);
        }
        interval
    }

    /// How it was started.
    pub fn config(&self) -> &GeneratorConfig {
        &self.config
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.links.iter().for_each(|link| link.quit());
        for thread in self.threads.drain(..) {
            // A panic has been printed, and `take` has said so.
            let _ = thread.join();
        }
    }
}
