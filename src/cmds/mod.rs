//! The command line: one file a command. The one place that names the real adapters.

mod assembly;
pub mod backup;
pub mod bench;
pub mod calibrate_site;
pub mod clip;
pub mod cluster;
pub mod compare;
pub mod config;
pub mod ctl;
pub mod daemon;
pub mod demo;
mod desk;
pub mod devices;
pub mod doctor;
pub mod engine;
pub mod enroll;
pub mod eval;
pub mod events;
pub mod exit;
pub mod explain;
pub mod forget;
pub mod fsck;
pub mod gallery;
pub mod identify;
pub mod judge;
pub mod key;
pub mod liveness_test;
pub mod log;
pub mod manual;
pub mod migrate;
pub mod passphrase;
mod people;
pub mod persons;
pub mod pictures;
pub mod replay;
pub mod run;
pub mod secret;
mod survey;
pub mod telling;
pub mod terms;
pub mod token;
pub mod transfer;
mod verified;
mod view;
mod web;

use std::io::Write;

use clap::{CommandFactory, Parser, Subcommand};

use exit::{Exit, Failure, Outcome};

/// Where the daemon's configuration is, unless told otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/facewarden/facewarden.yaml";

/// Recognises enrolled people at a door or kiosk camera and tells other programs; compares photos.
#[derive(Debug, Parser)]
#[command(name = "facewarden", version, propagate_version = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// How much to log to standard error: error, warn, info, debug or trace [env: FACEWARDEN_LOG]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Exit codes:
   0  done; for `compare`: the same person
   1  done, and the answer is no: different people, nobody recognised
   2  could not tell: no face, an unreadable picture
  64  wrong use of the command line      65  damaged data
  66  a named file or person is missing  69  a camera, model or library is missing
  70  a defect of this program           73  cannot write
  75  in use by another program          77  permissions
  78  faulty configuration";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch a camera and tell who is there: the daemon
    Run(run::Args),
    /// Add somebody to the gallery, from pictures or in front of a camera
    Enroll(enroll::Args),
    /// Show, rename or remove who is enrolled
    Persons(persons::Args),
    /// Remove somebody for good, with all that was kept about them, and give a receipt
    Forget(forget::Args),
    /// Look after the key that the gallery is encrypted with
    Key(key::Args),
    /// Say whether everything in the gallery is whole
    Fsck(fsck::Args),
    /// Copy the gallery, encrypted as it is
    Backup(backup::Args),
    /// Write people into an archive with a passphrase
    Export(transfer::ExportArgs),
    /// Take people from an archive
    Import(transfer::ImportArgs),
    /// Make templates of another model, of the photos that were kept
    Migrate(migrate::Args),
    /// Tell whether two photos show the same person; with more photos, every pair of them
    Compare(compare::Args),
    /// Name the people on pictures, from a folder of known people
    Identify(identify::Args),
    /// Group the faces on pictures by person
    Cluster(cluster::Args),
    /// Show it all on sample people, without a camera
    Demo(demo::Args),
    /// Say in words what was decided and why, from the event log
    Explain(explain::Args),
    /// Look after the event log: whether it is as it was written, and what is in it
    Log(log::Args),
    /// Print the events of a running daemon, from its socket
    Events(events::Args),
    /// Ask a running daemon how it goes, pause it, enrol somebody at its camera
    Ctl(ctl::Args),
    /// Decide again about a recorded decision, and compare
    Replay(replay::Args),
    /// List the cameras of this machine
    Devices(devices::Args),
    /// Look at all that a door needs, and say what is wrong and what to do about it
    Doctor(doctor::Args),
    /// Measure speed, memory and accuracy on this machine
    Bench(bench::Args),
    /// Measure how often the models are right on pictures of known people
    Eval(eval::Args),
    /// Tell whether enrolled people could be taken for one another
    CalibrateSite(calibrate_site::Args),
    /// Test at this camera how well live people are told from pictures of them
    LivenessTest(liveness_test::Args),
    /// Look after the configuration file
    Config(config::Args),
    /// Make, list and revoke the tokens of the HTTP server
    Token(token::Args),
    /// Print a new secret for a webhook
    Secret(secret::Args),
    /// Print the completions of a shell
    Completions(manual::CompletionsArgs),
    /// Print the manual page, or write one page per command into a folder
    Man(manual::ManArgs),
}

/// The command line's definition: for help, completions, the man page, and the test that runs the documentation.
#[must_use]
pub fn cli() -> clap::Command {
    Cli::command()
}

/// Parses the arguments and runs the command.
///
/// # Errors
/// What went wrong, with the exit code.
pub fn main() -> Outcome {
    // First of all, before there are threads. Where it cannot be set, the runtime is not loaded and says why.
    drop(crate::sys::process::set_variable(crate::inference::NO_TELEMETRY, "1"));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come this way too, and are no errors. A closed pipe is nobody's fault.
            drop(error.print());
            return Ok(if error.use_stderr() { Exit::Usage } else { Exit::Ok });
        }
    };
    // Between questions and answers, only what the operator has to know of.
    let is_dialogue =
        matches!(cli.command, Command::LivenessTest(_)) && std::env::var_os("FACEWARDEN_LOG").is_none();
    let level = cli.log_level.as_deref().or(is_dialogue.then_some("warn"));
    crate::sys::logging::begin(level).map_err(|e| Failure::new(Exit::Usage, e))?;
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Events(args) => events::run(&args),
        Command::Ctl(args) => ctl::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Enroll(args) => enroll::run(&args),
        Command::Persons(args) => persons::run(&args),
        Command::Forget(args) => forget::run(&args),
        Command::Key(args) => key::run(&args),
        Command::Fsck(args) => fsck::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Export(args) => transfer::export(&args),
        Command::Import(args) => transfer::import(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Identify(args) => identify::run(&args),
        Command::Cluster(args) => cluster::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::CalibrateSite(args) => calibrate_site::run(&args),
        Command::LivenessTest(args) => liveness_test::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Secret(args) => secret::run(&args),
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
    }
}

/// Prints to standard output. A reader that has gone (`| head`) is no error.
///
/// # Errors
/// [`Exit::CannotWrite`] if standard output cannot be written to.
pub(crate) fn say(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::CannotWrite, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(Exit::Ok),
    }
}

/// The exit code of a configuration that cannot be used.
pub(crate) fn config_failure(error: crate::config::ConfigError) -> Failure {
    let exit = match &error {
        crate::config::ConfigError::Read { .. } => Exit::NoInput,
        crate::config::ConfigError::Faults(_) => Exit::Config,
    };
    Failure { exit, error: error.into() }
}
