//! `facewarden doctor`: all that a door needs, looked at one after the other, with what to do about what is wrong.
//!
//! Each check is a file: it is handed the settings and gives back lines. Nothing is changed, and nobody is told anything.

mod camera;
mod files;
mod finding;
mod gallery;
mod machine;
mod models;
mod service;
mod told;
mod user;

use std::path::{Path, PathBuf};

use finding::{Finding, Findings, State};
use service::Service;

use super::DEFAULT_CONFIG;
use super::exit::{Exit, OrExit, Outcome};
use super::liveness_test::untested;
use crate::config::{Config, LivenessMode};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
One line each: `ok`, `warn` (it works, and not as well as it could, or it could not be told) or `FAIL`, with what to do. \
Run it as root, or as the user of the daemon: others may not see enough. It opens each camera for some seconds, unless \
the daemon has it; connects to brokers and web servers and tells them nothing; and changes nothing.

Exit code 0 if nothing FAILs, 1 otherwise.";

/// Looks at everything.
///
/// # Errors
/// If standard output cannot be written to; what is wrong with the door is no error but an answer.
pub fn run(args: &Args) -> Outcome {
    let mut all = Findings::default();
    let mut show = |found: Findings| -> Outcome {
        let lines: String = if args.json {
            String::new()
        } else {
            found.0.iter().map(|finding| format!("{finding}\n")).collect()
        };
        all.0.extend(found.0);
        super::say(&lines)
    };
    let service = Service::ask();
    let (found, config) = settings(&args.config);
    show(found)?;
    if let Some(config) = &config {
        let user = service.user();
        let (found, model) = models::examine(config);
        show(found)?;
        show(gallery::examine(config, model, user.as_ref()))?;
        for camera in &config.cameras {
            show(camera::examine(camera, service.pid().filter(|_| service.is_active())))?;
        }
        show(self_test(config))?;
        show(files::examine(&args.config, config, user.as_ref()))?;
        show(machine::examine_disk(config))?;
        show(told::examine(config))?;
    }
    show(machine::examine_clock())?;
    show(service.examine(config.as_ref()))?;
    if args.json {
        let report = Report { ok: !all.has_failed(), findings: &all.0 };
        super::say(&format!("{}\n", serde_json::to_string_pretty(&report).or_exit(Exit::Internal)?))?;
    }
    Ok(if all.has_failed() { Exit::No } else { Exit::Ok })
}

#[derive(serde::Serialize)]
struct Report<'a> {
    /// Nothing fails.
    ok: bool,
    findings: &'a [Finding],
}

fn settings(file: &Path) -> (Findings, Option<Config>) {
    const CHECK: &str = "settings";
    let mut found = Findings::default();
    match Config::read_with_warnings(file) {
        Ok((config, warnings)) => {
            found.ok(CHECK, format_args!("{} can be used", file.display()));
            for warning in warnings {
                found.say(CHECK, State::Warn, warning);
            }
            (found, Some(config))
        }
        Err(error) => {
            found.say(CHECK, State::Fail, error);
            found.fail(CHECK, "the rest of the door is not looked at", "mend the settings first");
            (found, None)
        }
    }
}

/// Whether it was tried at each camera how well live people are told from pictures.
fn self_test(config: &Config) -> Findings {
    const CHECK: &str = "self-test";
    let mut found = Findings::default();
    if config.liveness.mode == LivenessMode::Off {
        found.warn(CHECK, "liveness is off: a photo opens the door", "see `liveness.mode`");
        return found;
    }
    for mut asked in config.one_by_one() {
        // As if it were asked for, to be told what is missing.
        asked.liveness.require_self_test = true;
        let Some(id) = asked.cameras.first().map(|camera| camera.id.clone()) else { continue };
        match untested(&asked) {
            Ok(None) if matches!(config.liveness.mode, LivenessMode::Report) => {
                found.warn(CHECK, format_args!("{id}: liveness decides nothing"), "see `liveness.mode`");
            }
            Ok(None) => found.ok(CHECK, format_args!("{id}: the self-test of liveness was passed")),
            Ok(Some(missing)) if config.liveness.require_self_test => {
                found.say(CHECK, State::Fail, format_args!("{id}: {missing}"));
            }
            Ok(Some(_)) => found.warn(
                CHECK,
                format_args!("{id}: how well photos are refused here was not tried"),
                "facewarden liveness-test, at the door",
            ),
            Err(failure) => found.say(CHECK, State::Fail, format_args!("{id}: {failure}")),
        }
    }
    found
}
