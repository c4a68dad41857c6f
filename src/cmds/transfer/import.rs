//! `facewarden import`: people from an archive.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use super::archive_failure;
use super::merge::{Existing, Plan, plan};
use crate::cmds::exit::{Exit, Failure, Outcome};
use crate::cmds::gallery::{GalleryArgs, store_failure};
use crate::cmds::passphrase::PassphraseArgs;
use crate::domain::PersonId;
use crate::store::{ArchiveError, ArchiveReader, Changes, Entry, Person, RecordId};

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The archive
    file: PathBuf,
    /// What to do with people who are enrolled already
    #[arg(long, value_enum, default_value_t, value_name = "RULE")]
    existing: Existing,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    gallery: GalleryArgs,
}

const AFTER_HELP: &str = "\
The whole archive is read and checked before anybody is taken from it. Each person is stored whole or not at all, so
that an import that was cut off can be said again. Whether two people are alike is not looked at: see `facewarden
calibrate-site` for that.

Exit codes: 1 somebody was skipped, or is in the way of somebody else; others as in `facewarden --help`.";

/// What was done, or would be.
#[derive(Debug, Default)]
struct Tally {
    added: usize,
    changed: usize,
    same: usize,
    skipped: usize,
    clashes: usize,
    photos: usize,
}

/// Runs `import`.
///
/// # Errors
/// If the archive is not whole, the passphrase is wrong, or the gallery cannot be changed.
pub fn run(args: &Args) -> Outcome {
    let passphrase = args.passphrase.read(false)?;
    let open = || {
        let file = File::open(&args.file).map_err(|error| {
            let message = format!("cannot read {}: {error}", args.file.display());
            Failure::new(Exit::NoInput, message)
        })?;
        ArchiveReader::new(BufReader::new(file), &passphrase).map_err(archive_failure)
    };
    for entry in open()? {
        entry.map_err(archive_failure)?;
    }
    if args.dry_run {
        return rehearse(args, open()?);
    }
    // Only now: no folder is made for what cannot be taken.
    let store = args.gallery.open_to_enrol()?;
    let mut tally = Tally::default();
    let mut changes = store.begin().map_err(store_failure)?;
    // Whose photos may still come.
    let mut pending: Option<Person> = None;
    for entry in open()? {
        match entry.map_err(archive_failure)? {
            Entry::Person(person) => {
                finish(pending.take(), &mut changes)?;
                let plan = plan(&person, changes.people(), args.existing);
                tally.count(&person.name, &plan);
                pending = to_store(plan);
            }
            Entry::Photo(id, picture) => {
                // Before their person: a crash in between leaves a photo that `fsck` finds.
                if pending.as_ref().is_some_and(|person| wants(person, id)) {
                    changes.restore_photo(id, &picture).map_err(store_failure)?;
                    tally.photos += 1;
                }
            }
        }
    }
    finish(pending, &mut changes)?;
    tally.say("")
}

/// Says what would be done.
fn rehearse(args: &Args, archive: impl Iterator<Item = Result<Entry, ArchiveError>>) -> Outcome {
    let people = match args.gallery.folder().exists() {
        true => args.gallery.open()?.load().map_err(store_failure)?.people,
        false => Vec::new(),
    };
    let mut tally = Tally::default();
    for entry in archive {
        if let Entry::Person(person) = entry.map_err(archive_failure)? {
            tally.count(&person.name, &plan(&person, &people, args.existing));
        }
    }
    tally.say("would be ")
}

/// Whoever is to be stored.
fn to_store(plan: Plan) -> Option<Person> {
    match plan {
        Plan::Add(person) | Plan::Put(person) => Some(*person),
        Plan::Same | Plan::Skip | Plan::Clash(_) => None,
    }
}

fn wants(person: &Person, photo: RecordId) -> bool {
    person.photos().any(|kept| kept == photo)
}

fn finish(person: Option<Person>, changes: &mut Changes<'_>) -> Result<(), Failure> {
    person.map_or(Ok(()), |person| changes.restore(person).map(drop).map_err(store_failure))
}

impl Tally {
    fn count(&mut self, name: &PersonId, plan: &Plan) {
        match plan {
            Plan::Add(_) => self.added += 1,
            Plan::Put(_) => self.changed += 1,
            Plan::Same => self.same += 1,
            Plan::Skip => {
                self.skipped += 1;
                eprintln!("facewarden: skipped: {name} is enrolled otherwise (see --existing)");
            }
            Plan::Clash(why) => {
                self.clashes += 1;
                eprintln!("facewarden: not imported: {name}: {why}");
            }
        }
    }

    fn say(&self, would: &str) -> Outcome {
        let Self { added, changed, same, skipped, clashes, photos } = self;
        let mut text = format!("{added} {would}added, {changed} {would}changed, {same} as they were");
        if skipped + clashes > 0 {
            text.push_str(&format!(", {} left out", skipped + clashes));
        }
        if *photos > 0 {
            text.push_str(&format!("; {photos} photos"));
        }
        crate::cmds::say(&format!("{text}\n"))?;
        Ok(if skipped + clashes == 0 { Exit::Ok } else { Exit::No })
    }
}
