//! Recordings, off the shards: one thread drains the taps of all calls and writes, another makes
//! finished files durable, so that a slow `fsync` holds up no recording that still runs.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vox_call::CallId;
use vox_call::pipeline::{Tap, TapReader};
use vox_ring::sys::EventFd;

mod timeline;

use crate::engine::{EngineEvent, RecordingOptions};
use timeline::Timeline;

/// The recorder's handle.
#[derive(Debug)]
pub(crate) struct Recorder {
    orders: Mutex<Sender<Order>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A tap for a recording: its shard end and its recorder end.
pub(crate) fn tap() -> (Box<Tap>, TapReader) {
    let (tap, reader) = vox_call::pipeline::tap(TAP_FRAMES, TAP_RATE_HZ);
    (Box::new(tap), reader)
}

impl Recorder {
    /// Starts both threads. Results go to `events`, and `ready` is rung for each.
    pub(crate) fn start(events: Sender<EngineEvent>, ready: Arc<EventFd>) -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let (finished, to_sync) = mpsc::channel();
        let report = Report { events, ready };
        let writer = Writer { inbox, finished, report: report.clone(), running: Vec::new() };
        let threads = vec![
            spawn("vox-recorder", move || writer.run())?,
            spawn("vox-record-sync", move || to_sync.iter().for_each(|done| sync(done, &report)))?,
        ];
        Ok(Self { orders: Mutex::new(orders), threads: Mutex::new(threads) })
    }

    /// Records what `reader` brings until its tap is closed. Ends in one `Recorded` event.
    pub(crate) fn record(&self, call: CallId, reader: TapReader, options: RecordingOptions) {
        self.order(Order::Record(Box::new(Request { call, reader, options })));
    }

    /// Waits until every recording is on disk.
    pub(crate) fn stop(&self) {
        self.order(Order::Stop);
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a recorder thread had panicked");
            }
        }
    }

    fn order(&self, order: Order) {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody listens after `stop`; then there is nothing left to record either.
        let _ = orders.send(order);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop();
    }
}

enum Order {
    Record(Box<Request>),
    /// End once the running recordings are over.
    Stop,
}

struct Request {
    call: CallId,
    reader: TapReader,
    options: RecordingOptions,
}

/// The writing thread.
struct Writer {
    inbox: Receiver<Order>,
    finished: Sender<Finished>,
    report: Report,
    running: Vec<Recording>,
}

struct Recording {
    call: CallId,
    reader: TapReader,
    options: RecordingOptions,
    timeline: Timeline<File>,
}

/// A file with its last byte written, but perhaps not on disk.
struct Finished {
    call: CallId,
    options: RecordingOptions,
    file: File,
    duration: Duration,
    overruns: u64,
}

#[derive(Clone)]
struct Report {
    events: Sender<EngineEvent>,
    ready: Arc<EventFd>,
}

impl Writer {
    fn run(mut self) {
        let mut stopping = false;
        let mut next_round = Instant::now();
        while !(stopping && self.running.is_empty()) {
            match self.wait(next_round) {
                Some(Order::Record(request)) => self.begin(*request),
                Some(Order::Stop) => stopping = true,
                None => {}
            }
            if Instant::now() >= next_round || stopping {
                self.round();
                next_round = Instant::now() + if stopping { STOP_ROUND } else { ROUND };
            }
        }
    }

    /// The next order; `None` when the next round is due. Sleeps for good while nothing runs.
    fn wait(&mut self, next_round: Instant) -> Option<Order> {
        if self.running.is_empty() {
            return Some(self.inbox.recv().unwrap_or(Order::Stop));
        }
        match self.inbox.recv_timeout(next_round.saturating_duration_since(Instant::now())) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Order::Stop),
        }
    }

    fn begin(&mut self, request: Request) {
        let Request { call, reader, options } = request;
        match create(&options) {
            Ok(timeline) => self.running.push(Recording { call, reader, options, timeline }),
            Err(error) => self.report.failed(call, options, Duration::ZERO, 0, &error),
        }
    }

    /// Moves what all taps hold into the files; finishes those that are closed.
    fn round(&mut self) {
        for recording in std::mem::take(&mut self.running) {
            // Asked before draining: what comes after the answer is drained in the next round.
            let closed = recording.reader.is_closed();
            self.advance(recording, closed);
        }
    }

    fn advance(&mut self, mut recording: Recording, closed: bool) {
        let written = recording.drain();
        match written {
            Ok(()) if !closed => self.running.push(recording),
            Ok(()) => self.finish(recording),
            Err(error) => {
                let duration = recording.duration();
                let Recording { call, reader, options, .. } = recording;
                self.report.failed(call, options, duration, reader.overruns(), &error);
            }
        }
    }

    fn finish(&self, recording: Recording) {
        let Recording { call, reader, options, timeline } = recording;
        let overruns = reader.overruns();
        match timeline.finish() {
            Ok((file, frames)) => {
                let duration = length(frames, options.rate_hz);
                let finished = Finished { call, options, file, duration, overruns };
                if let Err(mpsc::SendError(finished)) = self.finished.send(finished) {
                    sync(finished, &self.report);
                }
            }
            Err(error) => self.report.failed(call, options, Duration::ZERO, overruns, &error),
        }
    }
}

impl Recording {
    fn drain(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        let timeline = &mut self.timeline;
        self.reader.drain(|frame| {
            if result.is_ok() {
                result = timeline.push(frame);
            }
        });
        result.and_then(|()| self.timeline.flush())
    }

    fn duration(&self) -> Duration {
        length(self.timeline.frames(), self.options.rate_hz)
    }
}

impl Report {
    fn failed(
        &self,
        call: CallId,
        options: RecordingOptions,
        duration: Duration,
        overruns: u64,
        error: &io::Error,
    ) {
        tracing::error!(?call, path = %options.path.display(), %error, "a recording failed");
        let error = Some(format!("{}: {error}", options.path.display()));
        self.send(EngineEvent::Recorded { call, path: options.path, duration, overruns, error });
    }

    fn send(&self, event: EngineEvent) {
        // Without a reader of events nobody misses it.
        let _ = self.events.send(event);
        self.ready.ring();
    }
}

fn create(options: &RecordingOptions) -> io::Result<Timeline<File>> {
    let RecordingOptions { path, rate_hz, channels } = options;
    if !matches!(rate_hz, 8_000 | 16_000) || !matches!(channels, 1 | 2) {
        return Err(io::Error::other(format!(
            "a recording has 8000 or 16000 Hz and 1 or 2 channels, not {rate_hz} Hz and {channels}"
        )));
    }
    Timeline::new(File::create(path)?, *rate_hz, *channels)
}

/// Makes a finished file durable and says so.
fn sync(finished: Finished, report: &Report) {
    let Finished { call, options, file, duration, overruns } = finished;
    match file.sync_all().and_then(|()| sync_directory_of(&options.path)) {
        Ok(()) => {
            let path = options.path;
            report.send(EngineEvent::Recorded { call, path, duration, overruns, error: None });
        }
        Err(error) => report.failed(call, options, duration, overruns, &error),
    }
}

/// A new file is found again after a crash only when its directory is on disk, too.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn length(frames: u64, rate_hz: u32) -> Duration {
    Duration::from_micros(frames * 1_000_000 / u64::from(rate_hz.max(1)))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(run)
}

/// How often taps are drained: ten frames a write.
const ROUND: Duration = Duration::from_millis(200);
/// The same while everything comes to its end.
const STOP_ROUND: Duration = Duration::from_millis(10);
/// One second: what the writing thread may be late before frames are lost. 64 kB a call.
const TAP_FRAMES: usize = 50;
/// The highest rate a call can have.
const TAP_RATE_HZ: u32 = 16_000;
