//! `facewarden devices`: which cameras there are, what they can do, and what is wrong with them.

use super::exit::{Exit, OrExit, Outcome};
use crate::camera::devices;

/// Arguments of `devices`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Lists the cameras; having none is an answer, not an error.
///
/// # Errors
/// If the system cannot be asked.
pub fn run(args: &Args) -> Outcome {
    let found = devices::list().or_exit(Exit::Unavailable)?;
    if args.json {
        return super::say(&format!("{}\n", serde_json::to_string_pretty(&found).or_exit(Exit::Internal)?));
    }
    if found.is_empty() {
        return super::say(
            "no camera found: is one plugged in, and does this user belong to the group video?\n",
        );
    }
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    super::say(&format!("{}\n", lines.join("\n")))
}
