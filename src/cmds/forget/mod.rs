//! `facewarden forget`: somebody is to be gone, from the gallery and from whatever was kept about them.

mod check;
mod places;
mod receipt;

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::ctl::{answer_exit, ask_failure, service_socket};
use super::exit::{Exit, Failure, OrExit, Outcome};
use super::gallery::{open_configured, store_failure};
use super::{DEFAULT_CONFIG, config_failure};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Config};
use crate::control::{Answer, AskError, Client, Forgotten, Refusal, Request};
use crate::domain::{CameraId, Erasure, GroupId, PersonId};
use crate::store::{Person, RecordId, Store, StoreError};
use places::Own;
pub(super) use places::{Places, is_same, work};
pub(super) use receipt::Receipt;
use receipt::{Removed, hex};

const EXIT_CODES: &str = "\
Exit codes: 0 everything is gone, or what --check looked at is so; 1 it was not done because you said no, or --check found \
something that contradicts the receipt; 65 the receipt or the log was changed; 66 there is nobody of that name; 69 the daemon \
cannot be asked; 73 something could not be removed, and the receipt says what; 75 a daemon runs that has no control socket; 77 \
not allowed.

What is not reached: backups, archives, events that were delivered, the journal, and names in the configuration.";

/// Arguments of `forget`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// Who
    #[arg(required_unless_present_any = ["record", "check"])]
    name: Option<PersonId>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Configuration file of the daemon: where it keeps what. With --gallery, and without a file in the usual place, only the gallery is looked into
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Write the receipt into this new file, for its owner alone [default: standard output]
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Finish what was begun, for the record with this id; with the name where the log does not know it
    #[arg(long, value_name = "ID", value_parser = record)]
    record: Option<RecordId>,
    /// Look whether what a receipt says is so
    #[arg(long, value_name = "RECEIPT", conflicts_with_all = ["name", "record", "receipt", "yes"])]
    check: Option<PathBuf>,
    /// Folder with the enrolled people [default: what the configuration says]
    #[arg(long, value_name = "DIR")]
    gallery: Option<PathBuf>,
    /// The key that it is encrypted with [default: what the configuration says]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Args {
    /// The settings of the daemon. Where a gallery was named and there are no settings in the usual place, no daemon has
    /// kept anything beside it.
    fn settings(&self) -> Result<Config, Failure> {
        if self.gallery.is_some() && self.config == Path::new(DEFAULT_CONFIG) && !self.config.exists() {
            let camera = CameraId::new("camera").or_exit(Exit::Internal)?;
            return Ok(Config::new(config::Camera::new(camera, String::new())));
        }
        Config::read(&self.config).map_err(config_failure)
    }
}

fn record(text: &str) -> Result<RecordId, String> {
    RecordId::parse(text).ok_or_else(|| "the id of a record has 26 digits and capital letters".to_owned())
}

/// Runs `forget`.
///
/// # Errors
/// See the exit codes in its help. Unless it says that something was removed, nothing was.
pub fn run(args: &Args) -> Outcome {
    let config = args.settings()?;
    let gallery = args.gallery(&config);
    let store = open_configured(&gallery).map_err(store_failure)?;
    if let Some(receipt) = &args.check {
        return check::run(receipt, &config, &store);
    }
    let whom = Whom::find(args, &store)?;
    if !args.yes && !whom.is_confirmed()? {
        return Err(Failure::new(Exit::No, "nothing was removed"));
    }
    let reach = Reach::open(&config, &gallery.folder, &whom)?;
    let paper = args.receipt.as_deref().map(Paper::open).transpose()?;
    let receipt = match whom.forget(&store, |groups| reach.forget(&whom, groups)) {
        Ok(receipt) => receipt,
        Err(failure) => {
            paper.into_iter().for_each(Paper::discard);
            return Err(failure);
        }
    };
    let record = whom.record.to_string();
    eprint!("{}", receipt.words());
    match paper {
        Some(mut paper) => receipt.write(&mut paper.file)?,
        None => drop(super::say(&receipt.json()?)?),
    }
    if receipt.left.is_empty() {
        return Ok(Exit::Ok);
    }
    let message = format!(
        "not everything could be removed, see above: when that is mended, `facewarden forget --record {record}` finishes \
         it (with the name before `--record` where the event log never knew it)"
    );
    Err(Failure::new(Exit::CannotWrite, message))
}

impl Args {
    fn gallery(&self, config: &Config) -> config::Gallery {
        let mut gallery = config.gallery.clone();
        if let Some(folder) = &self.gallery {
            (gallery.folder, gallery.key) = (folder.clone(), None);
        }
        if let Some(key) = &self.key {
            gallery.key = Some(key.clone());
        }
        gallery
    }
}

/// Who is to be forgotten.
struct Whom {
    record: RecordId,
    name: Option<PersonId>,
    /// They are in the gallery.
    is_enrolled: bool,
}

impl Whom {
    fn find(args: &Args, store: &Store) -> Result<Self, Failure> {
        let Some(record) = args.record else {
            let name = args.name.as_ref().ok_or_else(|| Failure::new(Exit::Usage, "say who"))?;
            let person = store.get(name).map_err(|error| match error {
                StoreError::NoSuchPerson(_) => Failure::new(
                    Exit::NoInput,
                    format!(
                        "{error}; if they were removed before, say their record as well, which `person.enrolled` in the \
                         event log has: --record ID"
                    ),
                ),
                other => store_failure(other),
            })?;
            return Ok(Self { record: person.id, name: Some(person.name), is_enrolled: true });
        };
        let loaded = store.load().map_err(store_failure)?;
        let enrolled = |person: &&Person| person.id == record || Some(&person.name) == args.name.as_ref();
        if let Some(person) = loaded.people.iter().find(enrolled) {
            let message = if person.id == record {
                format!("whoever has the record {record} is enrolled: say the name alone, without --record")
            } else {
                format!(
                    "{} is the name of somebody else by now, who would be forgotten too: leave it out",
                    person.name
                )
            };
            return Err(Failure::new(Exit::No, message));
        }
        Ok(Self { record, name: args.name.clone(), is_enrolled: false })
    }

    fn erasure(&self) -> Erasure {
        Erasure::new(&self.record.to_string(), self.name.as_ref())
    }

    /// Asks on the terminal; without one, `--yes` is needed.
    fn is_confirmed(&self) -> Result<bool, Failure> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            let message = "nothing was removed: nobody can be asked here, say --yes";
            return Err(Failure::new(Exit::Usage, message));
        }
        let whom = self.name.as_ref().map_or_else(|| self.record.to_string(), PersonId::to_string);
        eprint!("Forget {whom} for good, with all that was kept about them? [y/N] ");
        std::io::stderr().flush().or_exit(Exit::CannotWrite)?;
        let mut answer = String::new();
        stdin.lock().read_line(&mut answer).or_exit(Exit::NoInput)?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Out of the gallery, and then whatever `finish` reaches beside it; what came of that, in writing. With an error,
    /// nothing was removed.
    fn forget(
        &self,
        store: &Store,
        finish: impl FnOnce(Vec<GroupId>) -> Forgotten,
    ) -> Result<Receipt, Failure> {
        let (record_sha256, removed, groups) = self.remove(store)?;
        let mut done = finish(groups);
        let quarantined = store.remove_quarantined(self.record).unwrap_or_else(|error| {
            done.left.push(format!("the quarantine of the gallery: {error}"));
            0
        });
        let clock = SystemClock::new();
        let removed = Removed { quarantined, ..removed };
        Receipt::new((self.record.to_string(), record_sha256), removed, done, clock.wall(clock.now()))
    }

    /// Out of the gallery: templates and photos.
    fn remove(&self, store: &Store) -> Result<(Option<String>, Removed, Vec<GroupId>), Failure> {
        match &self.name {
            Some(name) if self.is_enrolled => {
                let removed = store.remove(name).map_err(store_failure)?;
                let templates = removed.person.templates.len();
                let count = Removed { templates, photos: removed.photos, ..Removed::default() };
                Ok((Some(hex(&removed.record_sha256)), count, removed.person.groups))
            }
            _ => Ok((None, Removed::default(), Vec::new())),
        }
    }
}

/// Forgets somebody who is enrolled, at the daemon itself: out of the gallery, and then whatever `finish` reaches.
///
/// # Errors
/// If they cannot be taken out of the gallery; nothing was removed then.
pub(super) fn forget_enrolled(
    store: &Store,
    person: Person,
    finish: impl FnOnce() -> Forgotten,
) -> Result<Receipt, Failure> {
    Whom { record: person.id, name: Some(person.name), is_enrolled: true }.forget(store, |_groups| finish())
}

/// Who takes away what is kept beside the gallery.
enum Reach {
    /// The daemon that runs, over this socket.
    Daemon { socket: PathBuf, gallery: PathBuf },
    /// This program: no daemon runs.
    Own(Box<Own>),
}

impl Reach {
    /// Makes sure that all can be done, before anything is.
    fn open(config: &Config, gallery: &Path, whom: &Whom) -> Result<Self, Failure> {
        let gallery = std::path::absolute(gallery).or_exit(Exit::NoInput)?;
        let control = &config.control;
        let mut why = "by its configuration the daemon has no control socket (control.enabled)";
        if control.enabled {
            let socket = control.path.clone().unwrap_or_else(service_socket);
            match ask(&socket, whom, &gallery, true) {
                Ok(_) => return Ok(Self::Daemon { socket, gallery }),
                Err(Unasked::NotThere) => why = "there is no control socket (control.path)",
                // The service of this machine, and not the daemon of this configuration.
                Err(Unasked::Refused(Refusal::Conflict, _)) if control.path.is_none() => {
                    why = "the control socket of the service is another daemon's (control.path)";
                }
                Err(Unasked::Refused(reason, message)) => {
                    return Err(Failure::new(answer_exit(reason), format!("{message}; nothing was removed")));
                }
                Err(Unasked::Failed(failure)) => {
                    let message = format!("{failure}; nothing was removed");
                    return Err(Failure::new(failure.exit, message));
                }
            }
        }
        let own = Own::open(config).map_err(|failure| {
            let message = format!(
                "{failure}. If that is the daemon, it cannot be asked: {why}. Stop it, or let it have one, and try again; \
                 nothing was removed"
            );
            Failure::new(failure.exit, message)
        })?;
        Ok(Self::Own(Box::new(own)))
    }

    fn forget(&self, whom: &Whom, groups: Vec<GroupId>) -> Forgotten {
        match self {
            Self::Own(own) => own.forget(whom.erasure(), groups),
            Self::Daemon { socket, gallery } => ask(socket, whom, gallery, false).unwrap_or_else(|unasked| {
                let why = match unasked {
                    Unasked::NotThere => "it has ended".to_owned(),
                    Unasked::Refused(_, message) => message,
                    Unasked::Failed(failure) => failure.to_string(),
                };
                let left =
                    format!("the outbox, the recordings and the event log: the daemon did not do it: {why}");
                Forgotten { left: vec![left], ..Forgotten::default() }
            }),
        }
    }
}

/// Why the daemon has not done what it was asked for.
enum Unasked {
    NotThere,
    Refused(Refusal, String),
    Failed(Failure),
}

/// Asks the daemon to forget, or (`only_check`) whether it would.
fn ask(socket: &Path, whom: &Whom, gallery: &Path, only_check: bool) -> Result<Forgotten, Unasked> {
    let request = Request::Forget {
        record: whom.record.to_string(),
        person: whom.name.clone(),
        gallery: gallery.to_owned(),
        only_check,
    };
    let unasked = |error: AskError| match error {
        AskError::Missing(_) | AskError::Deserted(_) => Unasked::NotThere,
        other => Unasked::Failed(ask_failure(other)),
    };
    let mut client = Client::ask(socket, &request).map_err(unasked)?;
    loop {
        match client.next_answer().map_err(unasked)? {
            Answer::Progress { .. } => (),
            Answer::Forgotten { report } => return Ok(report),
            Answer::Done { .. } if only_check => return Ok(Forgotten::default()),
            Answer::Refused { reason, message } => return Err(Unasked::Refused(reason, message)),
            _ => {
                let message = "the daemon answered something else than was asked";
                return Err(Unasked::Failed(Failure::new(Exit::Unavailable, message)));
            }
        }
    }
}

/// The file of the receipt, which is there before anything is removed.
struct Paper {
    file: File,
    path: PathBuf,
}

impl Paper {
    fn open(path: &Path) -> Result<Self, Failure> {
        let file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
                let message = format!("{} cannot be written: {error}; nothing was removed", path.display());
                Failure::new(Exit::CannotWrite, message)
            })?;
        Ok(Self { file, path: path.to_owned() })
    }

    fn discard(self) {
        // An empty receipt misleads nobody; the error that led here is the one to tell.
        drop(std::fs::remove_file(self.path));
    }
}
