//! What the commands share that look at the enrolled people: where they are, and what their errors mean.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::exit::{Exit, Failure};
use crate::config;
use crate::store::{FileProblem, KeyError, KeyPlace, Loaded, RefusedFile, Store, StoreError};

/// Which gallery.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct GalleryArgs {
    /// Folder with the enrolled people [default: /var/lib/facewarden/enrolled]
    #[arg(long, global = true, value_name = "DIR")]
    pub gallery: Option<PathBuf>,
    /// The key that it is encrypted with [default: beside the folder, called as it with .key at its end]
    #[arg(long, global = true, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

impl GalleryArgs {
    /// The folder: what was asked for, or the default of the configuration file.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.gallery.clone().unwrap_or_else(|| config::Gallery::default().folder)
    }

    fn with_key(&self, store: Store) -> Store {
        match &self.key {
            Some(path) => store.with_key(KeyPlace::at(path)),
            None => store,
        }
    }

    /// The gallery, which must be there.
    ///
    /// # Errors
    /// [`Exit::NoInput`] if there is none, [`Exit::Permission`] if others can read it.
    pub fn open(&self) -> Result<Store, Failure> {
        let folder = self.folder();
        let store = Store::open(&folder).map_err(|error| match error {
            StoreError::MissingFolder(_) => Failure::new(
                Exit::NoInput,
                format!(
                    "there is no gallery at {0}: name the right folder with --gallery DIR, or make this one with \
                     `install -d -m 700 {0}`, as the user that the daemon runs as",
                    folder.display()
                ),
            ),
            other => store_failure(other),
        })?;
        Ok(self.with_key(store))
    }

    /// The gallery to add people to: a folder that was named is made if need be, the default one is not, since
    /// it belongs to the daemon's user.
    ///
    /// # Errors
    /// As [`GalleryArgs::open`], or [`Exit::CannotWrite`] if the folder cannot be made.
    pub fn open_to_enrol(&self) -> Result<Store, Failure> {
        match &self.gallery {
            Some(folder) => Ok(self.with_key(Store::open_or_create(folder).map_err(store_failure)?)),
            None => self.open(),
        }
    }
}

/// The gallery of a configuration file.
///
/// # Errors
/// As [`Store::open`].
pub fn open_configured(settings: &config::Gallery) -> Result<Store, StoreError> {
    let store = Store::open(&settings.folder)?;
    Ok(match &settings.key {
        Some(path) => store.with_key(KeyPlace::at(path)),
        None => store,
    })
}

/// The exit code of a gallery that cannot be read or changed.
#[must_use]
pub fn store_failure(error: StoreError) -> Failure {
    let exit = match &error {
        StoreError::MissingFolder(_)
        | StoreError::NotAFolder(_)
        | StoreError::NoSuchPerson(_)
        | StoreError::NoSuchRecord(_)
        | StoreError::NoSuchPhoto(_)
        | StoreError::KeyGone { .. }
        | StoreError::Key(KeyError::Missing(_)) => Exit::NoInput,
        StoreError::Permissions { .. }
        | StoreError::Blocked { problem: FileProblem::Permissions { .. }, .. } => Exit::Permission,
        StoreError::Io { source, .. } | StoreError::Key(KeyError::Unreadable { source, .. })
            if source.kind() == ErrorKind::PermissionDenied =>
        {
            Exit::Permission
        }
        StoreError::Key(KeyError::TooOpen { .. } | KeyError::NotOurs { .. }) => Exit::Permission,
        StoreError::Key(KeyError::Invalid { .. } | KeyError::NotAFile(_) | KeyError::Unreadable { .. })
        | StoreError::WrongKey { .. }
        | StoreError::BadPhoto { .. } => Exit::Data,
        StoreError::Io { .. }
        | StoreError::NotDurable { .. }
        | StoreError::Unstorable { .. }
        | StoreError::Key(KeyError::Unwritable { .. }) => Exit::CannotWrite,
        StoreError::Locked(_) => Exit::Busy,
        StoreError::NameTaken(_) => Exit::No,
        StoreError::DuplicateName { .. } | StoreError::Blocked { .. } => Exit::Data,
    };
    Failure { exit, error: error.into() }
}

/// Names every file of the gallery that is not used, on standard error. Returns how many there are.
pub fn warn_of_refused(loaded: &Loaded) -> usize {
    warn_of(&loaded.refused);
    loaded.refused.len()
}

/// Names files of the gallery that are not used, on standard error.
pub fn warn_of(refused: &[RefusedFile]) {
    for file in refused {
        eprintln!("facewarden: not used: {file}");
    }
}
