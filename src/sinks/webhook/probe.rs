//! Whether a server can be reached at all: connected to, and trusted where it is encrypted. Nothing is sent to it.

use std::io::{self, ErrorKind};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::{WebhookError, WebhookFault, WebhookSink, tls, trouble};
use crate::clock::Clock;
use crate::config::Webhook;

/// Checks the settings as the sink does, connects, and hangs up.
///
/// # Errors
/// If the settings cannot be used, or [`WebhookFault::Unreachable`] with why and what to do.
pub fn try_webhook(settings: &Webhook, site: &str, clock: Arc<dyn Clock>) -> Result<(), WebhookError> {
    let sink = WebhookSink::new(settings, site, clock)?;
    reach(settings, &sink).map_err(|error| {
        let why = trouble::explain(&error, settings.timeout_ms);
        WebhookError { webhook: settings.name.clone(), fault: WebhookFault::Unreachable(why) }
    })
}

fn reach(settings: &Webhook, sink: &WebhookSink) -> Result<(), ureq::Error> {
    let is_encrypted = sink.uri.scheme_str() == Some("https");
    let host = sink.uri.host().unwrap_or_default();
    let port = sink.uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
    // An address of version 6 is in brackets there.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let timeout = Duration::from_millis(settings.timeout_ms);
    let mut stream = connect(host, port, timeout)?;
    if !is_encrypted {
        return Ok(());
    }
    let roots = tls::root_store(settings.ca_file.as_deref()).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ureq::Error::Rustls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|_| ureq::Error::Tls("no name for a server"))?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(ureq::Error::Rustls)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => ureq::Error::Timeout(ureq::Timeout::Connect),
            _ => ureq::Error::Io(error),
        })?;
    }
    connection.send_close_notify();
    // It answered as it should; that it does not wait for the good-bye is no failure.
    drop(connection.complete_io(&mut stream));
    Ok(())
}

/// To the first of its addresses that answers.
fn connect(host: &str, port: u16, timeout: Duration) -> Result<TcpStream, ureq::Error> {
    let addresses = (host, port).to_socket_addrs().map_err(|_| ureq::Error::HostNotFound)?;
    let mut failure = ureq::Error::HostNotFound;
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                failure = ureq::Error::Timeout(ureq::Timeout::Connect);
            }
            Err(error) => failure = error.into(),
        }
    }
    Err(failure)
}
