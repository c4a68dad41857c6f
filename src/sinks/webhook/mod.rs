//! A web server that is told of events: each is posted as a CloudEvent, signed after Standard Webhooks.
//!
//! One call of `deliver` is one attempt over a connection of its own. What the answer means is in `answer`, what it
//! means that there was none in `trouble`; who waits and tries again is the courier. `docs/webhooks.md` is for those
//! who write the other side.

mod answer;
mod cloud_event;
mod probe;
mod signature;
mod trouble;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::http::{HeaderValue, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;

pub use probe::try_webhook;
use signature::SigningKey;
pub use signature::new_webhook_secret;

use super::{Fate, Filter, RootsError, SecretError, Sink, SinkError, read_secret, tls};
use crate::clock::Clock;
use crate::config::Webhook;
use crate::domain::Event;

/// So much of an answer's body is read, so that the server can finish it in peace; it is not looked at.
const MAX_BODY_BYTES: u64 = 4096;
/// An answer whose status and headers are longer is not one.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Why a webhook cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("webhook {webhook}: {fault}")]
pub struct WebhookError {
    /// Its name in the configuration.
    pub webhook: String,
    /// What is wrong.
    pub fault: WebhookFault,
}

/// What is wrong with a webhook's settings, or with the files they name.
#[derive(Debug, thiserror::Error)]
pub enum WebhookFault {
    /// The address cannot be posted to. It is not repeated, for there may be tokens in it.
    #[error("`url` is no address that can be posted to; write it as https://door.example.org/events")]
    Url,
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The secret has the wrong form.
    #[error(
        "{} must hold `whsec_` and the base64 of 24 to 64 bytes; `facewarden secret` makes such a secret",
        path.display()
    )]
    NotASigningSecret {
        /// Which file.
        path: PathBuf,
    },
    /// The token cannot be sent as a header.
    #[error("the token in {} has characters in it that no bearer token can have", path.display())]
    NotAToken {
        /// Which file.
        path: PathBuf,
    },
    /// Nobody can be trusted.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// It was tried, and nobody answered, or nobody who is trusted.
    #[error("{0}")]
    Unreachable(String),
}

/// Posts events to one address. See the module for what becomes of failures.
///
/// Certificates are always verified. Redirects are not followed, proxies from the environment not used, connections
/// not kept: the grant that follows an hour of silence must not meet a connection that died meanwhile.
pub struct WebhookSink {
    name: String,
    site: String,
    uri: Uri,
    host: String,
    timeout_ms: u64,
    key: SigningKey,
    authorization: Option<HeaderValue>,
    filter: Filter,
    agent: Agent,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for WebhookSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the address, which may hold tokens.
        f.debug_struct("WebhookSink")
            .field("name", &self.name)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl WebhookSink {
    /// A webhook as the configuration describes it, for events of this site. The files are read now and never again;
    /// nothing is connected before the first event.
    ///
    /// # Errors
    /// If the address is none, or if a file with a secret, a token or certificates cannot be used.
    pub fn new(settings: &Webhook, site: &str, clock: Arc<dyn Clock>) -> Result<Self, WebhookError> {
        Self::open(settings, site, clock)
            .map_err(|fault| WebhookError { webhook: settings.name.clone(), fault })
    }

    fn open(settings: &Webhook, site: &str, clock: Arc<dyn Clock>) -> Result<Self, WebhookFault> {
        let uri: Uri = settings.url.parse().map_err(|_| WebhookFault::Url)?;
        let is_encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(WebhookFault::Url),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(WebhookFault::Url)?;
        let host = match uri.port_u16() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let secret = read_secret(&settings.secret_file)?;
        let key = SigningKey::read(&secret)
            .ok_or_else(|| WebhookFault::NotASigningSecret { path: settings.secret_file.clone() })?;
        let authorization = settings.bearer_token_file.as_deref().map(authorization).transpose()?;
        // Read also where it is of no use: a file that is named and bad is a mistake.
        let roots = if is_encrypted || settings.ca_file.is_some() {
            tls::trusted_roots(settings.ca_file.as_deref())?
        } else {
            Vec::new()
        };
        let roots = roots.iter().map(|root| Certificate::from_der(root).to_owned());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::from(roots))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .https_only(is_encrypted)
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .max_response_header_size(MAX_HEAD_BYTES)
            .timeout_global(Some(Duration::from_millis(settings.timeout_ms)))
            .user_agent(concat!("facewarden/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            name: format!("webhook {}", settings.name),
            site: site.to_owned(),
            uri,
            host,
            timeout_ms: settings.timeout_ms,
            key,
            authorization,
            filter: Filter::new(&settings.only),
            agent: Agent::with_parts(config, DefaultConnector::new(), trouble::Names::default()),
            clock,
        })
    }

    /// One attempt.
    fn post(&self, id: &str, body: &[u8]) -> Result<(), (Fate, String)> {
        let sent_at = self.clock.wall(self.clock.now()).0.as_second();
        let mut request = self
            .agent
            .post(&self.uri)
            .header(header::CONTENT_TYPE, cloud_event::CONTENT_TYPE)
            .header(header::CONNECTION, "close")
            .header("webhook-id", id)
            .header("webhook-timestamp", sent_at.to_string())
            .header("webhook-signature", self.key.sign(id, sent_at, body))
            .header("idempotency-key", id);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let mut response = request
            .send(body)
            .map_err(|error| (Fate::Later { after: None }, trouble::explain(&error, self.timeout_ms)))?;
        let now = self.clock.wall(self.clock.now());
        let verdict = answer::judge(response.status(), response.headers(), now);
        // The status has decided already: whatever becomes of the body, this changes nothing.
        drop(std::io::copy(&mut response.body_mut().as_reader().take(MAX_BODY_BYTES), &mut std::io::sink()));
        verdict.map_or(Ok(()), Err)
    }
}

fn authorization(path: &Path) -> Result<HeaderValue, WebhookFault> {
    let token = read_secret(path)?;
    let not_a_token = || WebhookFault::NotAToken { path: path.to_owned() };
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(not_a_token());
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| not_a_token())?;
    value.set_sensitive(true);
    Ok(value)
}

impl Sink for WebhookSink {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn wants(&self, event: &Event) -> bool {
        self.filter.passes(event)
    }

    /// One attempt, of at most `timeout_ms`.
    fn deliver(&mut self, event: &Event) -> Result<(), SinkError> {
        let body = cloud_event::body(event, &self.site).map_err(|error| {
            SinkError::once(self.name(), format!("event {} cannot be written as JSON: {error}", event.id))
        })?;
        self.post(&event.id.to_string(), &body).map_err(|(fate, message)| SinkError {
            sink: self.name(),
            message: format!("{}: {message}", self.host),
            fate,
        })
    }

    fn close(&mut self, _within: Duration) {}
}
