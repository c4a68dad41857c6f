//! `facewarden backup`: a copy of the gallery, encrypted as it is.

use std::path::PathBuf;

use super::exit::Outcome;
use super::gallery::{GalleryArgs, store_failure};
use super::key::keys_of;

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A new folder, which is made
    folder: PathBuf,
    #[command(flatten)]
    gallery: GalleryArgs,
}

const AFTER_HELP: &str = "\
The daemon may go on meanwhile; the copy is of one moment. It needs the key that is in use now, which is not copied: keep
that apart. The copy is a gallery itself: `facewarden fsck --gallery FOLDER --key KEY` says whether it is whole, and in the
place of the lost one it is used as it is. `forget` reaches no backups: that is for whoever keeps them.";

/// Runs `backup`.
///
/// # Errors
/// If the gallery cannot be read, or the folder is not new.
pub fn run(args: &Args) -> Outcome {
    let store = args.gallery.open()?;
    let key = keys_of(&store)?.current.id();
    let copied = store.back_up(&args.folder).map_err(store_failure)?;
    super::say(&format!(
        "{} persons and {} photos, {} bytes, are in {}\nthey can be read with the key {key}, which is not there\n",
        copied.people,
        copied.photos,
        copied.bytes,
        args.folder.display()
    ))
}
