//! What it means when there was no answer at all.

use std::io::ErrorKind;

use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::sinks::tls;

/// The system's name service. Its errors look like those of a socket; here they are marked, so that they can be told
/// from each other.
#[derive(Debug, Default)]
pub(super) struct Names(DefaultResolver);

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.0.resolve(uri, config, timeout).map_err(|error| match error {
            ureq::Error::Io(_) => ureq::Error::HostNotFound,
            other => other,
        })
    }
}

/// What went wrong and what to do, for an operator. Never holds the address beyond its host, nor anything that the
/// server wrote.
pub(super) fn explain(error: &ureq::Error, timeout_ms: u64) -> String {
    match error {
        ureq::Error::Timeout(_) => format!(
            "it timed out: no whole answer within {timeout_ms} ms; see whether it is up and reachable, or raise \
             `timeout_ms`"
        ),
        ureq::Error::HostNotFound => {
            "its name cannot be found; check the host in `url`, and this machine's name service (DNS)".into()
        }
        ureq::Error::Rustls(error) => tls::explain(error),
        ureq::Error::Io(error) => {
            match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(error) => tls::explain(error),
                None => explain_io(error),
            }
        }
        ureq::Error::Tls(_) => "TLS cannot be spoken with a host of this name; check `url`".into(),
        ureq::Error::Protocol(_) | ureq::Error::Http(_) | ureq::Error::LargeResponseHeader(..) => {
            "what answers there does not speak HTTP as it should; check the port and `http` or `https` in `url`".into()
        }
        // The others belong to things that are switched off here. Their texts may hold the whole address.
        _ => "the request could not be made".into(),
    }
}

fn explain_io(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            "the connection was refused; nothing listens there: is the server running, and the port right?"
                .into()
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            "it cannot be reached from here; check this machine's network".into()
        }
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => {
            "it closed the connection without an answer; see its log, and whether `url` should say `https`"
                .into()
        }
        // Such as a sandbox or a firewall that forbids it: the system's own words.
        _ => format!("the connection failed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_not_repeated() {
        let secret = "https://a.example/?token=s3cret";
        for error in [
            ureq::Error::BadUri(secret.into()),
            ureq::Error::RequireHttpsOnly(secret.into()),
            ureq::Error::ConnectProxyFailed(secret.into()),
        ] {
            assert!(!explain(&error, 1).contains("s3cret"), "{error}");
        }
    }
}
