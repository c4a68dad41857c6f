//! `facewarden fsck`: whether everything in the gallery is whole.

use serde::Serialize;

use super::exit::{Exit, OrExit, Outcome};
use super::gallery::{GalleryArgs, store_failure};
use crate::store::Inventory;

/// Arguments of `fsck`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Move damaged files aside, and remove what writers left that were cut off
    #[arg(long)]
    repair: bool,
    /// Print one JSON object instead of words
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gallery: GalleryArgs,
}

const AFTER_HELP: &str = "\
Reads and decrypts every file, photos too, and changes nothing without --repair. Nobody who can be recognised is touched
by --repair, and damaged files are kept in the folder quarantine/.

Exit codes: 0 everything is whole; 65 something is not; others as in `facewarden --help`.";

#[derive(Debug, Serialize)]
struct Report {
    sound: bool,
    key: Option<String>,
    former_key: Option<String>,
    persons: usize,
    templates: usize,
    photos: usize,
    quarantined: usize,
    leftovers: usize,
    problems: Vec<String>,
}

/// Runs `fsck`.
///
/// # Errors
/// If the gallery or its key cannot be read.
pub fn run(args: &Args) -> Outcome {
    let store = args.gallery.open()?;
    let found = if args.repair { store.repair() } else { store.inspect() }.map_err(store_failure)?;
    let problems = problems(&found);
    let exit = if found.is_sound() { Exit::Ok } else { Exit::Data };
    if args.json {
        let report = Report {
            sound: found.is_sound(),
            key: found.key.map(|id| id.to_string()),
            former_key: found.former_key.map(|id| id.to_string()),
            persons: found.people,
            templates: found.templates,
            photos: found.photos,
            quarantined: found.quarantined,
            leftovers: found.leftovers,
            problems,
        };
        super::say(&format!("{}\n", serde_json::to_string_pretty(&report).or_exit(Exit::Internal)?))?;
        return Ok(exit);
    }
    problems.iter().for_each(|problem| eprintln!("facewarden: {problem}"));
    let key = found.key.map_or_else(|| "no key yet".to_owned(), |id| format!("key {id}"));
    let (people, templates, photos) = (found.people, found.templates, found.photos);
    let mut text = format!("{people} persons with {templates} templates and {photos} photos, {key}\n");
    if found.quarantined > 0 {
        text.push_str(&format!("{} damaged files are in quarantine/\n", found.quarantined));
    }
    text.push_str(if found.is_sound() { "everything is whole\n" } else { "not everything is whole\n" });
    super::say(&text)?;
    Ok(exit)
}

fn problems(found: &Inventory) -> Vec<String> {
    let mut problems: Vec<String> = found.refused.iter().map(|file| format!("not used: {file}")).collect();
    problems.extend(found.bad_photos.iter().map(|(_, why)| why.clone()));
    problems.extend(found.missing_photos.iter().map(|(person, id)| {
        format!("the photo {} of {person} is not there: a new model will need a new one", id.photo_name())
    }));
    problems.extend(found.stray_photos.iter().map(|id| {
        format!(
            "the photo {} belongs to nobody (an enrolment was cut off): --repair removes it",
            id.photo_name()
        )
    }));
    if found.leftovers > 0 {
        let count = found.leftovers;
        problems.push(format!("{count} files were left by writers that were cut off: --repair removes them"));
    }
    if let Some(former) = found.former_key {
        problems.push(format!(
            "some files may still need the former key {former}: say `facewarden key rotate` to finish"
        ));
    }
    problems
}
