//! `facewarden token`: who may use the HTTP server.

use std::path::PathBuf;
use std::time::Duration;

use super::exit::{Exit, Failure, OrExit, Outcome};
use super::{DEFAULT_CONFIG, config_failure};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::http::{Scope, TokenError, TokenFile, scopes_from};

/// Arguments of `token`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// Configuration file; its `http.tokens` is the file that is changed
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// The file with the tokens, instead of the one that the configuration names
    #[arg(long, global = true, value_name = "FILE")]
    file: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
A token is printed once; the file keeps only its hash, so one that was lost is revoked and made anew. A running daemon takes
up changes within a second.

Scopes:
  verify  compare pictures that are sent (POST /verify, /represent), and ask who is on them
  kiosk   the page for visitors: the camera's picture and what becomes of them
  read    see who is enrolled, events, cameras, metrics; includes kiosk
  enrol   enrol people and change what is known of them; includes read
  admin   everything: forget people, pause cameras, see the settings";

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a token and print it
    Create {
        /// What it is called: the program or person that is to use it
        #[arg(value_name = "NAME", value_parser = parse_name)]
        name: String,
        /// What may be done with it; several with commas between them
        #[arg(long, value_name = "SCOPE,…", required = true, value_delimiter = ',')]
        scope: Vec<String>,
        /// It can be used for so many days; left out: until it is revoked
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: Option<u32>,
    },
    /// Show which tokens there are
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a token away
    Revoke {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

fn parse_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=64).contains(&text.len()) && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("1 to 64 letters, digits, `-`, `_` or `.`".to_owned())
}

/// Runs `token`.
///
/// # Errors
/// If the file cannot be read or written.
pub fn run(args: &Args) -> Outcome {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => Config::read(&args.config).map_err(config_failure)?.http.tokens,
    };
    let (file, clock) = (TokenFile::at(&path), SystemClock::new());
    let now = clock.wall(clock.now());
    match &args.action {
        Action::Create { name, scope, days } => {
            let scopes = scopes_from(scope.iter().map(String::as_str)).map_err(|name| {
                let all: Vec<&str> = Scope::ALL.into_iter().map(Scope::as_str).collect();
                Failure::new(Exit::Usage, format!("there is no scope `{name}`, only: {}", all.join(", ")))
            })?;
            let end = days.map(|days| now + Duration::from_secs(u64::from(days) * 24 * 3600));
            let made = file.create(name, scopes, now, end).map_err(failure)?;
            super::say(&format!("{}\n", made.secret))
        }
        Action::List { json } => {
            let tokens = match file.read() {
                Err(TokenError::Missing(_)) => Vec::new(),
                read => read.map_err(failure)?,
            };
            if *json {
                let lines: Vec<_> = tokens
                    .iter()
                    .map(|token| {
                        serde_json::json!({
                            "name": token.name, "scopes": token.scopes, "created_at": token.created_at,
                            "expires_at": token.expires_at,
                        })
                    })
                    .collect();
                return super::say(&(serde_json::to_string(&lines).or_exit(Exit::Internal)? + "\n"));
            }
            let line = |token: &crate::http::Token| {
                let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
                let end = match token.expires_at {
                    Some(end) if token.is_valid_at(now) => format!("until {end}"),
                    Some(end) => format!("expired at {end}"),
                    None => "until it is revoked".to_owned(),
                };
                format!("{}  {}  made {}, {end}\n", token.name, scopes.join(","), token.created_at)
            };
            let text: String = tokens.iter().map(line).collect();
            super::say(if text.is_empty() { "there are no tokens\n" } else { &text })
        }
        Action::Revoke { name } => {
            file.revoke(name).map_err(failure)?;
            super::say(&format!("{name} was revoked\n"))
        }
    }
}

fn failure(error: TokenError) -> Failure {
    let exit = match &error {
        TokenError::Missing(_) | TokenError::NoSuch(_) => Exit::NoInput,
        TokenError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Exit::Permission
        }
        TokenError::Io { .. } => Exit::CannotWrite,
        TokenError::TooOpen { .. } => Exit::Permission,
        TokenError::Damaged { .. } => Exit::Data,
        TokenError::Taken(_) | TokenError::TooMany => Exit::No,
        TokenError::NoRandomness => Exit::Internal,
    };
    Failure { exit, error: error.into() }
}
