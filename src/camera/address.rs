//! What ffmpeg is given to read: a file or an address, made safe to pass on and to show.

use std::path::{Path, PathBuf};

use super::SourceError;

/// The kinds of address that are passed to ffmpeg. Others (`concat:`, `pipe:`, `data:`...) are no cameras.
const SCHEMES: [&str; 10] = ["rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "rtp", "tcp", "srt"];

/// A file or an address.
pub(super) enum Address {
    /// A file on this machine.
    File(PathBuf),
    /// A camera's address on the network.
    Url(Url),
}

/// An address and what of it may be shown. No `Debug`: it holds the password.
pub(super) struct Url {
    scheme: String,
    full: String,
    shown: String,
    /// Parts that are cut out of messages, the longest first.
    secrets: Vec<String>,
}

/// A source as it may be shown: without user, password and query. What is no source is not shown at all.
#[must_use]
pub fn shown_source(source: &str) -> String {
    Address::parse(source).map_or_else(|_| String::new(), |address| address.shown())
}

impl Address {
    /// Takes the text of the configuration.
    ///
    /// # Errors
    /// [`SourceError::Unusable`] if it is an address of a kind that is not allowed.
    pub(super) fn parse(source: &str) -> Result<Self, SourceError> {
        if source.contains('\0') {
            return Err(SourceError::Unusable("the source contains a zero byte".into()));
        }
        let Some((scheme, rest)) = source.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            return Ok(Self::File(source.into()));
        };
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "file" {
            return Ok(Self::File(rest.into()));
        }
        if !SCHEMES.contains(&scheme.as_str()) {
            return Err(SourceError::Unusable(format!(
                "addresses of kind {scheme}:// cannot be read; these can: {}",
                SCHEMES.join(", ")
            )));
        }
        Ok(Self::Url(Url::new(scheme, source, rest)))
    }

    /// What to show people: without user, password and query.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Url(url) => url.shown.clone(),
        }
    }

    /// `text` without what must not be shown of this address.
    pub(super) fn redacted(&self, text: &str) -> String {
        match self {
            Self::File(_) => text.to_owned(),
            Self::Url(url) => url.redacted(text),
        }
    }

    /// The arguments of ffmpeg up to and with `-i`. No shell sees them; a name that begins with `-` or looks
    /// like a protocol stays a name because of the `file:` before it.
    pub(super) fn input_arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
        match self {
            Self::File(path) => {
                // A playlist in a file must not reach the network.
                add(&["-protocol_whitelist", "file", "-i", &file_argument(path)]);
            }
            Self::Url(url) => {
                // A playlist from the network must not reach files.
                add(&[
                    "-protocol_whitelist",
                    "http,https,httpproxy,tcp,tls,udp,rtp,srtp,rtmp,rtmps,srt,crypto",
                ]);
                add(&["-fflags", "nobuffer", "-flags", "low_delay"]);
                match url.scheme.as_str() {
                    "rtsp" | "rtsps" => add(&["-rtsp_transport", "tcp", "-timeout", NETWORK_TIMEOUT_US]),
                    "http" | "https" | "rtmp" | "rtmps" | "tcp" => add(&["-rw_timeout", NETWORK_TIMEOUT_US]),
                    _ => {}
                }
                add(&["-i", &url.full]);
            }
        }
        arguments
    }
}

/// ffmpeg gives up on a silent peer after so long: 10 seconds, in microseconds.
const NETWORK_TIMEOUT_US: &str = "10000000";

fn file_argument(path: &Path) -> String {
    format!("file:{}", path.display())
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

impl Url {
    fn new(scheme: String, full: &str, rest: &str) -> Self {
        // The last `@`, wherever it is: a password with a slash in it must not be taken for a host.
        let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
        let (place, query) = place.split_once(['?', '#']).map_or((place, None), |(a, b)| (a, Some(b)));
        let user_shown = if user.is_some() { "***@" } else { "" };
        let query_shown = if query.is_some() { "?***" } else { "" };
        let shown = format!("{scheme}://{user_shown}{place}{query_shown}");
        let password = user.and_then(|user| user.split_once(':')).map(|(_, password)| password);
        let mut secrets: Vec<String> = user.map(|user| format!("{user}@")).into_iter().collect();
        let values = query.into_iter().flat_map(|query| query.split(['=', '&']));
        // Very short ones would blot out half of every message; they are part of the longer ones anyway.
        let parts = [user, password, query].into_iter().flatten().chain(values);
        secrets.extend(parts.filter(|secret| secret.len() > 3).map(str::to_owned));
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { scheme, full: full.to_owned(), shown, secrets }
    }

    fn redacted(&self, text: &str) -> String {
        let text = text.replace(&self.full, &self.shown);
        self.secrets.iter().fold(text, |text, secret| text.replace(secret, "***"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(source: &str) -> Address {
        Address::parse(source).unwrap()
    }

    #[test]
    fn passwords_are_never_shown() {
        for (source, shown) in [
            ("rtsp://10.0.0.7:554/stream1", "rtsp://10.0.0.7:554/stream1"),
            ("rtsp://admin:hunter22@cam/stream", "rtsp://***@cam/stream"),
            ("RTSP://admin:a/b@c?d@cam/stream", "rtsp://***@cam/stream"),
            ("http://cam/video?name=admin&word=hunter22", "http://cam/video?***"),
        ] {
            let address = parse(source);
            assert_eq!(address.shown(), shown);
            let message =
                address.redacted(&format!("Error opening {source}: for admin:hunter22@ no hunter22"));
            assert!(!message.contains("hunter22") || !source.contains("hunter22"), "{message}");
            assert!(!message.contains("a/b@c"), "{message}");
        }
    }

    #[test]
    fn a_file_stays_a_file_whatever_its_name() {
        for name in ["-version", "concat:a|b", "http:/x", "/a b/ä.mp4", "pipe:0", "://x", "1://x"] {
            let address = parse(name);
            assert_eq!(address.shown(), name);
            assert_eq!(
                address.input_arguments(),
                ["-protocol_whitelist", "file", "-i", &format!("file:{name}")]
            );
        }
        assert_eq!(parse("file:///tmp/x.mp4").shown(), "/tmp/x.mp4");
    }

    #[test]
    fn only_kinds_of_address_that_cameras_have_are_passed_on() {
        for source in ["gopher://x/y", "subfile://x", "crypto+file://x", "ftp://x"] {
            assert!(matches!(Address::parse(source), Err(SourceError::Unusable(_))), "{source}");
        }
        let arguments = parse("rtsp://u:p@h/s").input_arguments().join(" ");
        assert!(arguments.contains("-rtsp_transport tcp -timeout 10000000"), "{arguments}");
        assert!(arguments.ends_with("-i rtsp://u:p@h/s"), "{arguments}");
        assert!(!arguments.contains("file"), "{arguments}");
    }

    proptest! {
        #[test]
        fn no_password_survives(user in "[a-z]{1,8}", password in "[A-Z0-9@:/?#]{4,12}Q", text in ".{0,20}") {
            let source = format!("rtsp://{user}:{password}@host/path");
            let address = parse(&source);
            prop_assert!(!address.shown().contains(&password));
            let message = address.redacted(&format!("{text}{source}: {password} {user}:{password}@"));
            prop_assert!(!message.contains(&password), "{}", message);
        }
    }
}
