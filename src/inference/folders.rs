//! Where model files and their manifests are looked for.

use std::path::{Path, PathBuf};

use super::model::LoadError;
use crate::config::Manifest;

/// Folders that hold models, in the order they are searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFolders(Vec<PathBuf>);

impl ModelFolders {
    /// Only this folder.
    #[must_use]
    pub fn only(folder: PathBuf) -> Self {
        Self(vec![folder])
    }

    /// Only this folder where one is named, else [`ModelFolders::usual`].
    #[must_use]
    pub fn or_usual(folder: Option<PathBuf>) -> Self {
        folder.map_or_else(Self::usual, Self::only)
    }

    /// The folder that the `FACEWARDEN_MODELS` variable names, and nothing else if it is set; otherwise `models/`
    /// beside the program, the `models/` folder of the checkout that the program was built in,
    /// `~/.local/share/facewarden/models`, and `/usr/lib/facewarden/models`.
    #[must_use]
    pub fn usual() -> Self {
        if let Some(folder) = std::env::var_os("FACEWARDEN_MODELS").filter(|v| !v.is_empty()) {
            return Self::only(folder.into());
        }
        let program = std::env::current_exe().ok();
        let beside = program.as_deref().and_then(Path::parent).map(|folder| folder.join("models"));
        let checkout = program.as_deref().and_then(checkout_of).map(|folder| folder.join("models"));
        let own =
            std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/share/facewarden/models"));
        let installed = Some(PathBuf::from("/usr/lib/facewarden/models"));
        Self([beside, checkout, own, installed].into_iter().flatten().collect())
    }

    /// Reads the manifest `NAME.yaml` of the first folder that has one.
    ///
    /// # Errors
    /// If no folder has it (the message lists the models there are), or it is faulty.
    pub fn manifest(&self, name: &str) -> Result<(PathBuf, Manifest), LoadError> {
        let is_name = !name.is_empty() && !name.contains(['/', '\\']) && !name.starts_with('.');
        let Some(folder) = self.0.iter().find(|f| is_name && f.join(format!("{name}.yaml")).is_file()) else {
            return Err(LoadError::NoSuchModel {
                name: name.to_owned(),
                folders: list(self.0.iter().map(|f| f.display().to_string())),
                available: list(self.names().into_iter()),
            });
        };
        let path = folder.join(format!("{name}.yaml"));
        let manifest = Manifest::read(&path)?;
        if manifest.name != name {
            return Err(LoadError::NameDiffers { path, name: manifest.name });
        }
        Ok((folder.clone(), manifest))
    }

    /// Names of the models whose manifest and file are both there.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let manifests = self.0.iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
        let mut names: Vec<String> = manifests
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
            .filter(|path| path.with_extension("onnx").is_file())
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

/// The checkout that `program` was built in: the nearest folder above it with this project's files.
pub(super) fn checkout_of(program: &Path) -> Option<&Path> {
    program
        .ancestors()
        .skip(1)
        .find(|f| f.join("Cargo.toml").is_file() && f.join("models/prepare.py").is_file())
}
