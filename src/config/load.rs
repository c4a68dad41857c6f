//! Text to checked values: the typed parse, then the checks, each fault with its place.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy};

use super::check::{self, Finding};
use super::diagnostic::{ConfigError, Diagnostic, Place, Severity};
use super::explain::explain;
use super::tree::{KeyPath, Tree};
use super::types::Config;

/// No configuration file or manifest is larger; whatever is larger is another file given by mistake.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;

/// More errors than this are counted, not shown.
const MAX_SHOWN: usize = 50;

impl Config {
    /// Reads and checks the text of a configuration file. `file_name` is what messages call it.
    ///
    /// # Errors
    /// [`ConfigError::Faults`]: the first fault in the form of the text, or else all faults in what it says.
    pub fn from_yaml(text: &str, file_name: &str) -> Result<Self, ConfigError> {
        Self::from_yaml_with_warnings(text, file_name).map(|(config, _)| config)
    }

    /// As [`Config::from_yaml`], together with what is allowed and deserves a second thought.
    ///
    /// # Errors
    /// As [`Config::from_yaml`].
    pub fn from_yaml_with_warnings(
        text: &str,
        file_name: &str,
    ) -> Result<(Self, Vec<Diagnostic>), ConfigError> {
        let (config, tree) = typed::<Self>(text, file_name)?;
        let warnings = sorted(&check::check(&config), &tree, (file_name, text))?;
        Ok((config, warnings))
    }

    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// [`ConfigError::Read`] if it cannot be read, otherwise as [`Config::from_yaml`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::read_with_warnings(path).map(|(config, _)| config)
    }

    /// As [`Config::read`], together with what is allowed and deserves a second thought.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn read_with_warnings(path: &Path) -> Result<(Self, Vec<Diagnostic>), ConfigError> {
        Self::from_yaml_with_warnings(&read_text(path)?, &path.display().to_string())
    }
}

/// The text as a `T`, and where everything stands in it.
pub(super) fn typed<T: DeserializeOwned>(text: &str, file_name: &str) -> Result<(T, Tree), ConfigError> {
    if text.len() > MAX_FILE_BYTES {
        return Err(too_large(file_name));
    }
    let options = serde_yaml::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        // Keys merged in from elsewhere have no place of their own to point at.
        merge_keys: MergeKeyPolicy::Error,
        // The snippets shown are ours.
        with_snippet: false,
    };
    let tree = Tree::read(text);
    match serde_yaml::from_str_with_options(text, options) {
        Ok(value) => Ok((value, tree)),
        Err(error) => Err(ConfigError::Faults(vec![explain(&error, &tree, (file_name, text))])),
    }
}

/// Gives each finding its place. Errors become the `Err`, in the order of the file; warnings are returned.
pub(super) fn sorted(
    findings: &[Finding],
    tree: &Tree,
    (file, text): (&str, &str),
) -> Result<Vec<Diagnostic>, ConfigError> {
    let of = |wanted: Severity| {
        let all = findings.iter().filter(move |finding| finding.severity == wanted);
        let left_out = all.clone().count().saturating_sub(MAX_SHOWN);
        let mut shown: Vec<Diagnostic> = all
            .take(MAX_SHOWN)
            .map(|finding| {
                let other = finding.other_key.as_deref().map(KeyPath::of);
                // Of a pair, the one that is written down.
                let at = other.filter(|other| tree.has(other) && !tree.has(&KeyPath::of(&finding.key)));
                let place = tree.find(&at.unwrap_or_else(|| KeyPath::of(&finding.key)));
                Diagnostic::at(wanted, (file, text), place, finding.message.clone(), finding.help.clone())
            })
            .collect();
        shown.sort_by_key(|d| d.place.map(|place| (place.line, place.column)));
        if left_out > 0 {
            let message = format!("and {left_out} more");
            shown.push(Diagnostic::at(wanted, (file, text), None, message, "mend these first".into()));
        }
        shown
    };
    let errors = of(Severity::Error);
    if errors.is_empty() { Ok(of(Severity::Warning)) } else { Err(ConfigError::Faults(errors)) }
}

/// The whole of a text file.
pub(super) fn read_text(path: &Path) -> Result<String, ConfigError> {
    let read = |path: &Path| -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(MAX_FILE_BYTES + 1).unwrap_or(u64::MAX);
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let file = path.display().to_string();
    if bytes.len() > MAX_FILE_BYTES {
        return Err(too_large(&file));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..good]);
        let place = Place {
            line: before.matches('\n').count() + 1,
            column: before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1,
            length: 1,
        };
        ConfigError::Faults(vec![Diagnostic {
            severity: Severity::Error,
            file,
            place: Some(place),
            source_line: None,
            message: "this is not UTF-8 text".into(),
            help: "save the file as UTF-8; umlauts and accents in another encoding are the usual cause"
                .into(),
        }])
    })
}

fn too_large(file: &str) -> ConfigError {
    let message = format!("the file is larger than {} KiB", MAX_FILE_BYTES / 1024);
    let help = "no configuration is so long: is this the right file?".to_owned();
    ConfigError::Faults(vec![Diagnostic::at(Severity::Error, (file, ""), None, message, help)])
}
