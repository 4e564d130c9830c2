use std::net::SocketAddr;

use crate::sip::reply::Refused;
use crate::sip::sdp::{LocalMedia, MediaAgreement, MediaPolicy, accept, negotiate, offer};

/// Our side of the call's session: who we say we are in `o=`, and what we said last.
pub(super) struct Session {
    policy: MediaPolicy,
    id: u64,
    version: u64,
    /// What we described last, to tell whether the next one differs (RFC 3264 §8).
    last: Option<String>,
}

impl Session {
    pub(super) fn new(policy: MediaPolicy) -> Self {
        // Random, in 63 bits: some peers read `o=` as signed.
        let id = uuid::Uuid::new_v4().as_u64_pair().0 >> 1;
        Self { policy, id, version: 1, last: None }
    }

    /// Answers an offer. Nothing changes when it is refused.
    pub(super) fn answer(
        &mut self,
        offer: &[u8],
        rtp: SocketAddr,
    ) -> Result<(MediaAgreement, String), Refused> {
        let local = self.local(rtp);
        let (agreement, mut text) = negotiate(offer, &self.policy, &local)?;
        if self.last.as_ref().is_some_and(|last| *last != text) {
            let next = LocalMedia { version: local.version + 1, ..local };
            text = negotiate(offer, &self.policy, &next)?.1;
            self.version = next.version;
        }
        self.last = Some(text.clone());
        Ok((agreement, text))
    }

    /// An offer of ours.
    pub(super) fn offer(&mut self, rtp: SocketAddr) -> String {
        let local = self.local(rtp);
        let mut text = offer(&self.policy, &local);
        if self.last.as_ref().is_some_and(|last| *last != text) {
            self.version += 1;
            text = offer(&self.policy, &self.local(rtp));
        }
        self.last = Some(text.clone());
        text
    }

    /// Reads the answer to an offer of ours.
    pub(super) fn accept(&self, answer: &[u8], rtp: SocketAddr) -> Result<MediaAgreement, Refused> {
        Ok(accept(answer, &self.policy, &self.local(rtp))?)
    }

    fn local(&self, rtp: SocketAddr) -> LocalMedia {
        LocalMedia { rtp, session_id: self.id, version: self.version }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(line: &str) -> String {
        format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
             m=audio 4000 RTP/AVP 0\r\n{line}\r\n"
        )
    }

    #[test]
    fn the_version_grows_exactly_when_our_description_changes() {
        let rtp = "192.0.2.9:4000".parse().unwrap();
        let mut session = Session::new(MediaPolicy::default());
        let version = |text: &str| {
            let origin = text.lines().find(|line| line.starts_with("o=")).unwrap();
            origin.split(' ').nth(2).unwrap().parse::<u64>().unwrap()
        };
        let rows = [
            ("a=sendrecv", 1),
            ("a=sendrecv", 1),
            ("a=sendonly", 2),
            ("a=sendonly", 2),
            ("a=sendrecv", 3),
        ];
        for (line, expected) in rows {
            let (_, text) = session.answer(offered(line).as_bytes(), rtp).unwrap();
            assert_eq!(version(&text), expected, "{line}");
        }
        assert!(session.answer(b"nonsense", rtp).is_err());
        assert_eq!(version(&session.answer(offered("a=sendrecv").as_bytes(), rtp).unwrap().1), 3);
        assert_eq!(version(&session.offer(rtp)), 4);
    }
}
