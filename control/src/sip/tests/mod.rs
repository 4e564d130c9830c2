//! The whole SIP side through real sockets: hand-written messages in, answers out. Behind it
//! stands a board whose bots behave as their names say.

mod attended;
mod board;
mod changes;
mod ending;
mod peer;
mod refusals;
mod starting;
mod streams;
mod transfer;

use std::time::Duration;

use super::{SipConfig, SipServer};
use board::Board;
use peer::Peer;

/// A server with the standard timers.
async fn server() -> (SipServer, Board) {
    server_with(|_| {}).await
}

async fn server_with(change: impl FnOnce(&mut SipConfig)) -> (SipServer, Board) {
    let mut config = SipConfig::new("127.0.0.1:0".parse().unwrap());
    // Only the test of ringing wants a call to ring, however slow the machine.
    config.ring_after = Duration::from_secs(600);
    change(&mut config);
    let board = Board::new(2);
    let server = SipServer::start(config, board.clone()).await.unwrap();
    (server, board)
}

/// T1 for tests that wait for something to time out: 64 × T1 is 640 ms.
const QUICK: Duration = Duration::from_millis(10);

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                   m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";
