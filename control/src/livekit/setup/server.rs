//! The SIP side of LiveKit's API, and its errors in words that say what to do.

use std::time::Duration;

use livekit_api::services::sip::{
    ListSIPDispatchRuleFilter, ListSIPInboundTrunkFilter, ListSIPOutboundTrunkFilter, SIPClient,
};
use livekit_api::services::{ServerError, ServerErrorCode, ServiceError};

use super::object::Found;
use crate::config::LivekitConfig;

/// One client for all requests of a run.
pub(in crate::livekit) fn client(config: &LivekitConfig) -> SIPClient {
    SIPClient::with_api_key(&config.url, &config.api_key, config.api_secret.expose())
        .with_request_timeout(REQUEST_LIMIT)
}

/// All trunks and rules of the server.
pub(in crate::livekit) async fn found(sip: &SIPClient) -> Result<Found, String> {
    let found = async {
        Ok(Found {
            inbound: sip.list_sip_inbound_trunk(ListSIPInboundTrunkFilter::All).await?,
            outbound: sip.list_sip_outbound_trunk(ListSIPOutboundTrunkFilter::All).await?,
            rules: sip.list_sip_dispatch_rule(ListSIPDispatchRuleFilter::All).await?,
        })
    };
    found.await.map_err(|error: ServiceError| explain(&error))
}

/// What went wrong, and what to do about it. Never what a server says in plain text: an answer to
/// a bad signature repeats the token.
pub(in crate::livekit) fn explain(error: &ServiceError) -> String {
    match error {
        ServiceError::Twirp(ServerError::Twirp(answer)) => explain_answer(answer),
        ServiceError::Twirp(ServerError::Request(error)) if error.is_decode() => {
            "the server refused in plain text, as it does when key and secret do not belong \
             together; `voxcore livekit check` says more"
                .into()
        }
        ServiceError::Twirp(ServerError::Request(error)) if error.is_timeout() => {
            format!("LIVEKIT_URL: no answer within {} s", REQUEST_LIMIT.as_secs())
        }
        ServiceError::Twirp(ServerError::Request(error)) => {
            format!("LIVEKIT_URL: {}", crate::bots::explain(error))
        }
        error => error.to_string(),
    }
}

fn explain_answer(answer: &ServerErrorCode) -> String {
    let msg = answer.msg.as_str();
    match answer.code.as_str() {
        _ if msg.contains("sip not connected") => NO_REDIS.into(),
        ServerErrorCode::UNAUTHENTICATED | ServerErrorCode::PERMISSION_DENIED => {
            format!("the key may not do this ({msg}): its grants lack SIP's administration")
        }
        ServerErrorCode::UNAVAILABLE => {
            format!("nobody answers for SIP ({msg}): is livekit-sip running, with the same Redis?")
        }
        ServerErrorCode::BAD_ROUTE | ServerErrorCode::UNIMPLEMENTED => {
            format!("the server has no SIP API ({msg}): it is older than 1.8, or no LiveKit server")
        }
        code => format!("{code}: {msg}"),
    }
}

/// LiveKit's own word for it is "sip not connected (redis required)".
pub(in crate::livekit) const NO_REDIS: &str = "the server runs without Redis, which SIP needs: put \
    `redis: {address: HOST:6379}` into livekit-server's configuration, and the same into livekit-sip's";

const REQUEST_LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    /// Bodies as a real server sends them.
    #[test]
    fn what_the_server_says_is_put_into_words_that_help() {
        let rows = [
            (
                r#"{"code":"internal","msg":"sip not connected (redis required)"}"#,
                "runs without Redis",
            ),
            (r#"{"code":"unauthenticated","msg":"permissions denied"}"#, "the key may not do this"),
            (
                r#"{"code":"unavailable","msg":"twirp error unknown: no response from servers"}"#,
                "is livekit-sip running, with the same Redis?",
            ),
            (r#"{"code":"bad_route","msg":"no handler for path"}"#, "has no SIP API"),
            (r#"{"code":"invalid_argument","msg":"Conflicting"}"#, "invalid_argument: Conflicting"),
        ];
        for (body, says) in rows {
            let answer = serde_json::from_str(body).expect("an answer");
            let text = explain(&ServiceError::Twirp(ServerError::Twirp(answer)));
            assert!(text.contains(says), "{body}: {text}");
        }
    }
}
