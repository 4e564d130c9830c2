//! A wire that can be cut: TCP through a proxy, UDP by routing rules in a network of the test's own.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A TCP proxy. It goes on until the process ends.
#[derive(Debug, Clone)]
pub struct Wire {
    /// Where to connect to.
    pub address: SocketAddr,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    /// A wire to `to`. A request whose first line has `unknown` in it is answered 404 on the way.
    ///
    /// # Panics
    /// When no port can be had.
    pub fn to(to: SocketAddr, unknown: Option<&'static str>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let wire = Self { address, ends: Arc::default() };
        let ends = wire.ends.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let ends = ends.clone();
                // Whoever is at either end notices when it does not work out.
                thread::spawn(move || carry(near, to, unknown, &ends));
            }
        });
        wire
    }

    /// How many connections go through it now.
    pub fn open(&self) -> usize {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).len() / 2
    }

    /// Cuts what goes through it now; how many connections that were. New ones are let through.
    pub fn cut(&self) -> usize {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        // The second end of a connection may be gone already because the first one is.
        let cut = ends.chunks(2).filter(|pair| {
            pair.iter().map(|end| end.shutdown(Shutdown::Both)).filter(Result::is_ok).count() > 0
        });
        let cut = cut.count();
        ends.clear();
        cut
    }
}

fn carry(
    near: TcpStream,
    to: SocketAddr,
    unknown: Option<&str>,
    ends: &Mutex<Vec<TcpStream>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(near.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    if unknown.is_some_and(|unknown| first.contains(unknown)) {
        return (&near).write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    }
    let far = TcpStream::connect(to)?;
    (&far).write_all(first.as_bytes())?;
    let mine = [near.try_clone()?, far.try_clone()?];
    ends.lock().unwrap_or_else(PoisonError::into_inner).extend(mine);
    let (mut from_far, mut to_near) = (far.try_clone()?, near.try_clone()?);
    let back = thread::spawn(move || {
        let _ = io::copy(&mut from_far, &mut to_near);
        let _ = to_near.shutdown(Shutdown::Both);
    });
    let _ = io::copy(&mut reader, &mut &far);
    let _ = far.shutdown(Shutdown::Both);
    let _ = back.join();
    Ok(())
}

/// No datagram leaves from, or goes to, these UDP ports of this network, until it is dropped. Needs a
/// network of the process's own (see [`crate::livekit::own_network`]).
#[derive(Debug)]
pub struct Cut(Vec<Vec<String>>);

impl Cut {
    /// Cuts ports `first` to `last`.
    ///
    /// # Panics
    /// When the rules cannot be made.
    pub fn ports(first: u16, last: u16) -> Self {
        // The rule for local addresses comes first of all, where it cannot be preceded: moved once.
        if ip(&["rule", "add", "priority", "100", "lookup", "local"]) {
            ip(&["rule", "del", "priority", "0"]);
        }
        let rule = |end: &str| -> Vec<String> {
            let ports = format!("{first}-{last}");
            ["priority", "10", "ipproto", "udp", end, &ports, "blackhole"].map(str::to_owned).into()
        };
        let rules = vec![rule("sport"), rule("dport")];
        for rule in &rules {
            assert!(change("add", rule), "ip rule add {}", rule.join(" "));
        }
        Self(rules)
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        for rule in &self.0 {
            change("del", rule);
        }
    }
}

fn change(what: &str, rule: &[String]) -> bool {
    let rule = rule.iter().map(String::as_str);
    ip(&["rule", what].into_iter().chain(rule).collect::<Vec<_>>())
}

fn ip(arguments: &[&str]) -> bool {
    let output = Command::new("ip").args(arguments).output().expect("ip runs");
    output.status.success()
}
