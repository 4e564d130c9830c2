use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::*;

/// A resolver for one test: `hang…` hangs until it is let go, `none` is not there.
macro_rules! resolver {
    ($running:ident, $asked:ident, $let_go:ident, $resolve:ident) => {
        static $running: AtomicUsize = AtomicUsize::new(0);
        static $asked: AtomicUsize = AtomicUsize::new(0);
        static $let_go: AtomicUsize = AtomicUsize::new(0);
        fn $resolve(host: &str) -> io::Result<Vec<IpAddr>> {
            $asked.fetch_add(1, Ordering::SeqCst);
            $running.fetch_add(1, Ordering::SeqCst);
            while host.starts_with("hang") && $let_go.load(Ordering::SeqCst) == 0 {
                thread::park_timeout(Duration::from_millis(1));
            }
            $running.fetch_sub(1, Ordering::SeqCst);
            match host {
                "none" => Err(io::Error::other("no such name")),
                _ => Ok(vec![IpAddr::from([127, 0, 0, 9])]),
            }
        }
    };
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(100)
}

fn late() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[tokio::test]
async fn a_name_that_hangs_fails_at_its_deadline_and_holds_up_no_other() {
    resolver!(RUNNING, ASKED, LET_GO, resolve);
    let names = Names::resolved_by(resolve, Handle::current());
    // However many calls want to go there.
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let names = names.clone();
            tokio::spawn(async move { names.find("hang", soon()).await })
        })
        .collect();
    for waiting in waiting {
        let why = waiting.await.unwrap().unwrap_err();
        assert_eq!(why, "its name could not be looked up in time");
    }
    assert_eq!(ASKED.load(Ordering::SeqCst), 1, "one thread for all of them");
    assert_eq!(names.find("there", late()).await, Ok(vec![IpAddr::from([127, 0, 0, 9])]));
    assert_eq!(names.find("none", late()).await, Err("no such name".to_owned()));
    // It is answered after all, and forgotten: the next one asks anew.
    LET_GO.store(1, Ordering::SeqCst);
    assert!(names.find("hang", late()).await.is_ok());
    while RUNNING.load(Ordering::SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
    assert!(names.asked().is_empty());
}

#[tokio::test]
async fn many_names_that_hang_hold_a_bounded_number_of_threads() {
    resolver!(RUNNING, ASKED, LET_GO, resolve);
    let names = Names::resolved_by(resolve, Handle::current());
    let waiting: Vec<_> = (0..THREADS * 4)
        .map(|n| {
            let names = names.clone();
            tokio::spawn(async move { names.find(&format!("hang-{n}"), soon()).await })
        })
        .collect();
    for waiting in waiting {
        assert!(waiting.await.unwrap().is_err());
    }
    assert_eq!(ASKED.load(Ordering::SeqCst), THREADS);
    assert_eq!(RUNNING.load(Ordering::SeqCst), THREADS);
    // An address is no name.
    let address = IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(names.find("::1", soon()).await, Ok(vec![address]));
    LET_GO.store(1, Ordering::SeqCst);
    assert!(names.find("there", late()).await.is_ok(), "its turn comes");
}
