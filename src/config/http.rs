//! The HTTP server: whether there is one, where, and what it takes; and the checks of it.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Findings;

/// The HTTP server with the API and the pages. There is none unless `listen` says where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address and port to listen at, such as `127.0.0.1:8460`. Left out: no HTTP server. Anything but this machine's own
    /// address needs `tls`.
    pub listen: Option<String>,
    /// The names, beside addresses, by which browsers and programs call this server, such as `door.example.org`.
    pub names: Vec<String>,
    /// Certificate and key; left out: no TLS, and this machine alone can be listened to.
    pub tls: Option<HttpTls>,
    /// The file with the hashed tokens that `facewarden token create` makes.
    pub tokens: PathBuf,
    /// So many connections are served at once; one more is closed at once.
    pub max_connections: u32,
    /// So many requests a second each token (without one, each address) may make in the long run.
    pub requests_per_second: u32,
    /// `POST /verify`, `POST /represent` and whatever else looks at pictures that were sent.
    pub verify: HttpVerify,
    /// The kiosk's page.
    pub kiosk: HttpKiosk,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: None,
            names: Vec::new(),
            tls: None,
            tokens: "/var/lib/facewarden/tokens.json".into(),
            max_connections: 256,
            requests_per_second: 50,
            verify: HttpVerify::default(),
            kiosk: HttpKiosk::default(),
        }
    }
}

impl Http {
    /// Where to listen; `None` for no server, or where the text is no address (which [`super::check()`] refuses).
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.listen.as_deref()?.parse().ok()
    }
}

/// How the server shows who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpTls {
    /// The certificate and those between it and its issuer, in PEM form. A name without a folder is a credential of the
    /// service.
    pub certificate: PathBuf,
    /// The certificate's key, in PEM form, not readable by others. A name without a folder is a credential of the service.
    pub key: PathBuf,
}

/// Pictures that are sent to be looked at. They get just the processor time that nobody else wants, so that cameras
/// never wait for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpVerify {
    /// True to answer `POST /verify` and `POST /represent` without a token. Only where this machine alone is listened to.
    pub without_token: bool,
    /// So many requests are worked on at once. Each has models of its own, some 100 MB.
    pub workers: u32,
    /// So many wait for that; one more is told to come again.
    pub queue: u32,
    /// A request that was not worked on within this time is given up.
    pub timeout_ms: u64,
    /// The largest picture, as a file.
    pub max_picture_mb: u32,
    /// The largest picture, in pixels.
    pub max_megapixels: u32,
}

impl Default for HttpVerify {
    fn default() -> Self {
        Self {
            without_token: false,
            workers: 1,
            queue: 16,
            timeout_ms: 20_000,
            max_picture_mb: 10,
            max_megapixels: 25,
        }
    }
}

/// What visitors are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpKiosk {
    /// The privacy notice that visitors can read: who processes their picture, why, and whom to ask. Left out: a general one.
    pub notice: Option<String>,
}

pub(super) fn http(http: &Http, found: &mut Findings) {
    if let Some(text) = &http.listen {
        listen(http, text, found);
    }
    for (at, name) in http.names.iter().enumerate() {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if name.is_empty() || !name.chars().all(fits) {
            let message = format!("`http.names[{at}]` cannot be `{}`", name.escape_debug());
            found.error(
                &format!("http.names[{at}]"),
                message,
                "a name such as door.example.org, without a port",
            );
        }
    }
    if http.tokens.as_os_str().is_empty() {
        found.error(
            "http.tokens",
            "`http.tokens` is empty",
            "name a file, such as /var/lib/facewarden/tokens.json",
        );
    }
    found.range("http.max_connections", http.max_connections, (8, 10_000));
    found.range("http.requests_per_second", http.requests_per_second, (1, 100_000));
    let verify = &http.verify;
    found.range("http.verify.workers", verify.workers, (1, 16));
    found.range("http.verify.queue", verify.queue, (1, 1000));
    found.range("http.verify.timeout_ms", verify.timeout_ms, (1000, 300_000));
    found.range("http.verify.max_picture_mb", verify.max_picture_mb, (1, 100));
    found.range("http.verify.max_megapixels", verify.max_megapixels, (1, 100));
    if http.kiosk.notice.as_ref().is_some_and(|notice| notice.trim().is_empty() || notice.len() > 4000) {
        found.error(
            "http.kiosk.notice",
            "`http.kiosk.notice` is empty or longer than 4000 bytes",
            "a text for visitors, or leave the line out for a general one",
        );
    }
}

fn listen(http: &Http, text: &str, found: &mut Findings) {
    let Ok(address) = text.parse::<SocketAddr>() else {
        found.error(
            "http.listen",
            format!("`http.listen` cannot be `{}`", text.escape_debug()),
            "an address and a port, such as 127.0.0.1:8460 or [::1]:8460",
        );
        return;
    };
    if !address.ip().is_loopback() {
        if http.tls.is_none() {
            found.pair(
                ("http.listen", "http.tls"),
                format!("`http.listen: {address}` is open to other machines, and there is no `http.tls`"),
                "name a certificate and its key in `http.tls`, or listen at 127.0.0.1",
            );
        }
        if http.verify.without_token {
            found.pair(
                ("http.verify.without_token", "http.listen"),
                "`http.verify.without_token` is on, and other machines can connect",
                "set it to false and give each program a token, or listen at 127.0.0.1",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(http: &Http) -> Vec<String> {
        let mut found = Findings::default();
        super::http(http, &mut found);
        found.into_vec().into_iter().map(|finding| finding.key).collect()
    }

    #[test]
    fn other_machines_are_listened_to_with_tls_and_tokens_alone() {
        assert!(faults(&Http::default()).is_empty());
        let at = |listen: &str| Http { listen: Some(listen.to_owned()), ..Http::default() };
        for own in ["127.0.0.1:8460", "[::1]:0", "127.9.9.9:1"] {
            assert!(faults(&at(own)).is_empty(), "{own}");
        }
        for odd in ["", "8460", "localhost:8460", "127.0.0.1", "127.0.0.1:99999"] {
            assert_eq!(faults(&at(odd)), ["http.listen"], "{odd}");
            assert_eq!(at(odd).address(), None);
        }
        for open in ["0.0.0.0:8460", "[::]:8460", "192.0.2.1:8460"] {
            assert_eq!(faults(&at(open)), ["http.listen"], "{open}");
            let tls = Some(HttpTls { certificate: "c.pem".into(), key: "k.pem".into() });
            let mut with_tls = Http { tls, ..at(open) };
            assert!(faults(&with_tls).is_empty());
            with_tls.verify.without_token = true;
            assert_eq!(faults(&with_tls), ["http.verify.without_token"]);
        }
    }

    #[test]
    fn odd_values_are_refused() {
        let odd = Http {
            names: vec!["a b".into(), String::new(), "ok.example".into()],
            tokens: "".into(),
            max_connections: 0,
            requests_per_second: 0,
            kiosk: HttpKiosk { notice: Some(" ".into()) },
            ..Http::default()
        };
        assert_eq!(
            faults(&odd),
            [
                "http.names[0]",
                "http.names[1]",
                "http.tokens",
                "http.max_connections",
                "http.requests_per_second",
                "http.kiosk.notice"
            ]
        );
    }
}
