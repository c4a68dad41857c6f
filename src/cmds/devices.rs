//! `facewarden devices`: which cameras there are, what they can do, and what is wrong with them.

use super::exit::{Exit, OrExit, Outcome};
use crate::camera::{as_settings, devices};

/// Arguments of `devices`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    /// Also show what can be set (exposure, power-line frequency...), with range, default and present value
    #[arg(long)]
    controls: bool,
}

/// Lists the cameras; having none is an answer, not an error.
///
/// # Errors
/// If the system cannot be asked.
pub fn run(args: &Args) -> Outcome {
    let found = devices::list(args.controls).or_exit(Exit::Unavailable)?;
    if args.json {
        return super::say(&format!("{}\n", serde_json::to_string_pretty(&found).or_exit(Exit::Internal)?));
    }
    if found.is_empty() {
        return super::say(
            "no camera found: is one plugged in, and does `lsusb` show it? In a service: is the camera allowed \
             (DeviceAllow=char-video4linux rw, PrivateDevices=no)?\n",
        );
    }
    let mut text: String = found.iter().map(|device| format!("{device}\n")).collect();
    match as_settings(&found) {
        Some(settings) => text.push_str(&format!("\nFor the configuration:\n\n{settings}")),
        None => text.push_str("\nNone of them can be used as it is.\n"),
    }
    super::say(&text)
}
