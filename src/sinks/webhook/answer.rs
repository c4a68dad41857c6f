//! What the server's answer means for the event.

use std::time::Duration;

use ureq::http::{HeaderMap, StatusCode, header};

use crate::clock::WallTime;
use crate::sinks::Fate;

/// A server may put an event off for so long at most; asked for more, it is asked again after this.
const LONGEST_AFTER: Duration = Duration::from_secs(3600);

/// Nothing for a status that says that the server has the event; else what is to become of it, and what went wrong,
/// for an operator.
pub(super) fn judge(status: StatusCode, headers: &HeaderMap, now: WallTime) -> Option<(Fate, String)> {
    if status.is_success() {
        return None;
    }
    let is_later = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        );
    let fate = if is_later {
        let after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        Fate::Later { after: after.and_then(|value| retry_after(value, now)) }
    } else {
        Fate::Refused
    };
    // Only the number, which is checked: reason phrases and bodies are the server's own words, and it may well repeat
    // what it was sent, names included.
    Some((fate, format!("it answered {}: {}", status.as_u16(), advice(status))))
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "it does not accept the signature or the token; compare `secret_file` and `bearer_token_file` with what it \
             expects, and the clocks of both machines"
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            "nothing takes events at this address; correct `url`"
        }
        StatusCode::GONE => "events are not wanted there any more; remove the webhook, or correct `url`",
        StatusCode::PAYLOAD_TOO_LARGE => "it does not take requests of this size; raise its limit to 1 MB",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            "it does not take application/cloudevents+json; configure it to"
        }
        StatusCode::TOO_MANY_REQUESTS => "it is asked too often; it is tried again",
        status if status.is_redirection() => "redirects are not followed; put the final address into `url`",
        status if status.is_server_error() => "it has a fault of its own, see its log; it is tried again",
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => "it was not ready for it; it is tried again",
        _ => "it refuses the event; see its log for why",
    }
}

/// How long `Retry-After` asks to wait: a number of seconds, or a date in the one form that servers may send today
/// (`Sun, 06 Nov 1994 08:49:37 GMT`, RFC 9110). At most an hour. `None` where it asks for no wait, and where it is
/// not in either form.
fn retry_after(value: &str, now: WallTime) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a very long time.
        value.parse().map_or(Duration::MAX, Duration::from_secs)
    } else {
        let until = jiff::fmt::strtime::parse("%a, %d %b %Y %H:%M:%S GMT", value).ok()?;
        let until = until.to_datetime().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        Duration::try_from(until.duration_since(now.0)).ok()?
    };
    (!wait.is_zero()).then(|| wait.min(LONGEST_AFTER))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> WallTime {
        WallTime("1994-11-06T08:49:37Z".parse().unwrap())
    }

    fn fate(status: u16, after: Option<&str>) -> Option<Fate> {
        let mut headers = HeaderMap::new();
        headers.extend(after.map(|after| (header::RETRY_AFTER, after.parse().unwrap())));
        judge(StatusCode::from_u16(status).unwrap(), &headers, now()).map(|(fate, _)| fate)
    }

    #[test]
    fn statuses_have_their_fates() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(fate(status, Some("5")), None, "{status}");
        }
        for status in [408, 425, 429, 500, 501, 502, 503, 504, 507, 599] {
            assert_eq!(fate(status, None), Some(Fate::Later { after: None }), "{status}");
            let after = Some(Duration::from_secs(5));
            assert_eq!(fate(status, Some("5")), Some(Fate::Later { after }), "{status}");
        }
        for status in
            [101, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 999]
        {
            assert_eq!(fate(status, Some("5")), Some(Fate::Refused), "{status}");
        }
    }

    #[test]
    fn messages_say_what_to_do() {
        let headers = HeaderMap::new();
        for (status, expected) in [
            (301, "put the final address into `url`"),
            (401, "`secret_file`"),
            (410, "remove the webhook"),
            (503, "503"),
        ] {
            let (_, message) = judge(StatusCode::from_u16(status).unwrap(), &headers, now()).unwrap();
            assert!(message.contains(expected) && message.contains(&status.to_string()), "{message}");
        }
    }

    #[test]
    fn waits_are_read_in_both_forms() {
        let read = |text: &str| retry_after(text, now()).map(|wait| wait.as_secs());
        for (text, expected) in [
            ("1", Some(1)),
            (" 120 ", Some(120)),
            ("3600", Some(3600)),
            ("3601", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("Sun, 06 Nov 1994 08:49:38 GMT", Some(1)),
            ("Sun, 06 Nov 1994 09:19:37 GMT", Some(1800)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", Some(3600)),
            // No wait is asked for.
            ("0", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sat, 05 Nov 1994 08:49:37 GMT", None),
            // Neither form.
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1s", None),
            ("soon", None),
            ("Mon, 06 Nov 1994 09:49:37 GMT", None), // that was a Sunday
            ("Sun, 31 Nov 1994 09:49:37 GMT", None),
            ("Sun, 06 Nov 1994 09:49:37 +0100", None),
            ("Sunday, 06-Nov-94 09:49:37 GMT", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_bounded_wait(text in "\\PC{0,40}") {
            let wait = retry_after(&text, now());
            prop_assert!(wait.is_none_or(|wait| !wait.is_zero() && wait <= LONGEST_AFTER));
        }

        #[test]
        fn both_forms_mean_the_same(seconds in 1_u64..3600) {
            let until = now() + Duration::from_secs(seconds);
            let date = until.0.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            prop_assert_eq!(retry_after(&date, now()), Some(Duration::from_secs(seconds)));
            prop_assert_eq!(retry_after(&seconds.to_string(), now()), Some(Duration::from_secs(seconds)));
        }
    }
}
