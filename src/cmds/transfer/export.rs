//! `facewarden export`: people into an archive.

use std::fs::{self, OpenOptions};
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::archive_failure;
use crate::cmds::exit::{Exit, Failure, OrExit, Outcome};
use crate::cmds::gallery::{GalleryArgs, store_failure, warn_of_refused};
use crate::cmds::passphrase::PassphraseArgs;
use crate::domain::PersonId;
use crate::store::{ArchiveWriter, Person, Store};

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The archive: a new file
    file: PathBuf,
    /// Only this person; can be given several times
    #[arg(long = "person", value_name = "NAME")]
    persons: Vec<PersonId>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    gallery: GalleryArgs,
}

const AFTER_HELP: &str = "\
Everything that is known of the people goes into the archive, with the photos that were kept. Whoever has it and the
passphrase has their faces. A passphrase of several random words is best: it is all that protects the archive.

Exit codes: 65 some people cannot be read and are not in it; others as in `facewarden --help`.";

/// Runs `export`.
///
/// # Errors
/// If the gallery cannot be read, there is nobody of a name, or the archive cannot be written. Then there is none.
pub fn run(args: &Args) -> Outcome {
    let store = args.gallery.open()?;
    let loaded = store.load().map_err(store_failure)?;
    let refused = warn_of_refused(&loaded);
    let chosen = chosen(&args.persons, loaded.people)?;
    if chosen.is_empty() {
        return Err(Failure::new(Exit::NoInput, "nobody is enrolled, so there is nothing to export"));
    }
    if args.file.exists() {
        let message = format!("{} is there already: name a new file", args.file.display());
        return Err(Failure::new(Exit::CannotWrite, message));
    }
    let passphrase = args.passphrase.read(true)?;
    let mut name = args.file.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let partial = args.file.with_file_name(name);
    let written = write(&store, &chosen, &partial, &passphrase)
        .and_then(|photos| fs::rename(&partial, &args.file).or_exit(Exit::CannotWrite).map(|()| photos));
    let photos = written.inspect_err(|_| drop(fs::remove_file(&partial)))?;
    crate::cmds::say(&format!(
        "{} persons and {photos} photos are in {}\n",
        chosen.len(),
        args.file.display()
    ))?;
    Ok(if refused == 0 || !args.persons.is_empty() { Exit::Ok } else { Exit::Data })
}

fn chosen(names: &[PersonId], people: Vec<Person>) -> Result<Vec<Person>, Failure> {
    if let Some(missing) = names.iter().find(|name| !people.iter().any(|person| person.name == **name)) {
        return Err(Failure::new(Exit::NoInput, format!("nobody is enrolled as \"{missing}\"")));
    }
    Ok(people.into_iter().filter(|person| names.is_empty() || names.contains(&person.name)).collect())
}

fn write(store: &Store, people: &[Person], path: &PathBuf, passphrase: &str) -> Result<usize, Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| {
        Failure::new(Exit::CannotWrite, format!("cannot write {}: {error}", path.display()))
    })?;
    let mut archive = ArchiveWriter::new(BufWriter::new(file), passphrase).map_err(archive_failure)?;
    let mut photos = 0;
    for person in people {
        archive.person(person).map_err(archive_failure)?;
        for id in person.photos() {
            match store.photo(id) {
                Ok(picture) => {
                    archive.photo(id, &picture).map_err(archive_failure)?;
                    photos += 1;
                }
                Err(error) => eprintln!("facewarden: not exported: a photo of {}: {error}", person.name),
            }
        }
    }
    let out = archive.finish().map_err(archive_failure)?;
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error).or_exit(Exit::CannotWrite)?;
    file.sync_all().or_exit(Exit::CannotWrite)?;
    Ok(photos)
}
