//! `facewarden key`: the key that the gallery is encrypted with.

use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure, OrExit, Outcome};
use super::gallery::{GalleryArgs, store_failure};
use crate::store::{Key, KeyError, KeyRing, Store, StoreError};

/// Arguments of `key`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    gallery: GalleryArgs,
}

const AFTER_HELP: &str = "\
The key is made when the first person is enrolled. Keep a copy of it apart from the backups: without it nobody who is
enrolled can be read, by anybody. docs/people.md says how systemd can keep it (LoadCredentialEncrypted).";

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// What the key is called, and where it is; nothing of the key itself
    Show,
    /// Print a new key, for a credential of the service or to make one beforehand
    New,
    /// Encrypt everybody anew with a new key; goes on where an earlier run was cut off. Backups need the former key
    Rotate {
        /// Write the former key to this new file, for whoever has backups from before
        #[arg(long, value_name = "FILE")]
        keep_former: Option<PathBuf>,
    },
    /// Encrypt the people whom an earlier version of this program stored unencrypted
    Adopt,
}

/// Runs `key`.
///
/// # Errors
/// If the key or the gallery cannot be read or written.
pub fn run(args: &Args) -> Outcome {
    match &args.action {
        Action::Show => show(args),
        Action::New => {
            let key = KeyRing::of(Key::new_random().or_exit(Exit::Internal)?);
            super::say(&key.to_text())
        }
        Action::Rotate { keep_former } => rotate(args, keep_former.as_deref()),
        Action::Adopt => adopt(args),
    }
}

fn show(args: &Args) -> Outcome {
    let store = args.gallery.open()?;
    let keys = keys_of(&store)?;
    let mut text = format!("{}  {}\n", keys.current.id(), store.key().path().display());
    if let Some(former) = keys.former {
        text.push_str(&format!("{}  the former one: say `facewarden key rotate` to finish\n", former.id()));
    }
    super::say(&text)
}

/// The keys of a gallery; one in which nobody was ever enrolled has none yet.
pub(super) fn keys_of(store: &Store) -> Result<KeyRing, Failure> {
    match store.key().read() {
        Err(KeyError::Missing(path))
            if store.inspect().is_ok_and(|found| found.key.is_none() && found.is_sound()) =>
        {
            let path = path.display();
            let message = format!("there is no key yet: {path} is made when the first person is enrolled");
            Err(Failure::new(Exit::NoInput, message))
        }
        keys => keys.map_err(|error| store_failure(error.into())),
    }
}

fn rotate(args: &Args, keep_former: Option<&Path>) -> Outcome {
    let store = args.gallery.open()?;
    keys_of(&store)?;
    let done = store.rotate_key(keep_former).map_err(|error| match error {
        // What is in the way is not for this command to settle.
        StoreError::Blocked { file_name, problem } => Failure::new(
            Exit::Data,
            format!(
                "the key was not changed, because of the file {file_name}: {problem}; see `facewarden fsck`"
            ),
        ),
        other => store_failure(other),
    })?;
    let mut text = format!("{} files are encrypted with the key {}\n", done.files, done.current);
    if done.was_interrupted {
        text.push_str("that was begun earlier, and is finished now\n");
    }
    match keep_former {
        Some(path) => text.push_str(&format!("the former key {} is in {}\n", done.former, path.display())),
        None => text.push_str(&format!(
            "the former key {} is gone: backups that need it cannot be read\n",
            done.former
        )),
    }
    super::say(&text)
}

fn adopt(args: &Args) -> Outcome {
    let store = args.gallery.open()?;
    let done = store.adopt_unencrypted().map_err(store_failure)?;
    for (file, why) in &done.refused {
        eprintln!("facewarden: not encrypted: {file}: {why}");
    }
    super::say(&format!("{} files were encrypted\n", done.adopted.len()))?;
    Ok(if done.refused.is_empty() { Exit::Ok } else { Exit::Data })
}
