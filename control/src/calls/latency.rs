//! How long callers waited for the bot, in the contract's words.

use std::time::Duration;

use serde_json::{Value, json};
use vox_call::quality::{Response, Responses};
use vox_contracts::{Latency, Object};

/// Mean and percentiles; nothing but `null` where the bot never answered anybody.
pub(super) fn latency(responses: &Responses) -> Latency {
    if responses.count == 0 {
        return Latency::default();
    }
    let extra = [
        ("responses", Value::from(responses.count)),
        ("p50_ms", Value::from(millis(responses.p50))),
        ("p95_ms", Value::from(millis(responses.p95))),
        ("engine_p50_ms", Value::from(millis(responses.own_p50))),
        ("engine_p95_ms", Value::from(millis(responses.own_p95))),
    ];
    Latency {
        total_avg_response_ms: Some(millis(responses.mean)),
        extra: extra.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Object>(),
    }
}

/// One response.
pub(super) fn sample(response: Response) -> Value {
    json!({"response_ms": millis(response.after), "engine_ms": millis(response.own)})
}

/// Milliseconds to the microsecond.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_there_once_the_bot_has_answered() {
        let none = serde_json::to_value(latency(&Responses::default())).unwrap();
        assert_eq!(none, json!({"total_avg_response_ms": null}));
        let ms = Duration::from_millis;
        let responses = Responses {
            count: 3,
            mean: Duration::from_micros(400_500),
            p50: ms(380),
            p95: ms(720),
            own_p50: ms(30),
            own_p95: ms(32),
        };
        let expected = json!({
            "total_avg_response_ms": 400.5, "responses": 3, "p50_ms": 380.0, "p95_ms": 720.0,
            "engine_p50_ms": 30.0, "engine_p95_ms": 32.0,
        });
        assert_eq!(serde_json::to_value(latency(&responses)).unwrap(), expected);
        let response = Response { after: ms(380), own: ms(30) };
        assert_eq!(sample(response), json!({"response_ms": 380.0, "engine_ms": 30.0}));
    }
}
