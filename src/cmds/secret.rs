//! `facewarden secret`: a new secret for a webhook.

use super::exit::Outcome;
use crate::sinks::new_webhook_secret;

/// Arguments of `secret`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {}

const AFTER_HELP: &str = "\
It is printed once and stored nowhere. Put it into a file that nobody but its owner can read, without it ever being \
on the screen or open to others:

  (umask 077; facewarden secret > attendance.secret)

Name that file as `secret_file` of the webhook, make it the property of the daemon's user (or give it the daemon's \
group and mode 0640), and give the same secret to the server that is told. It is `whsec_` and the base64 of 32 random \
bytes, the form that the Standard Webhooks libraries take.";

/// Prints one secret.
///
/// # Errors
/// If standard output cannot be written to.
pub fn run(_args: &Args) -> Outcome {
    super::say(&format!("{}\n", new_webhook_secret()))
}
