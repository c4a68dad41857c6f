//! `facewarden config`: the settings checked, shown and described, without starting anything.

use std::path::{Path, PathBuf};

use super::exit::Outcome;
use crate::config::{Config, ConfigError, default_yaml, json_schema};

/// Arguments of `config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Check a configuration file without starting anything
    Check {
        /// The file
        #[arg(default_value = super::DEFAULT_CONFIG)]
        file: PathBuf,
    },
    /// Print a commented configuration file with every setting at its default
    Default,
    /// Print the JSON Schema of the configuration file, for editors
    Schema,
}

/// Runs `config`.
///
/// # Errors
/// [`super::exit::Exit::NoInput`] if the file cannot be read, [`super::exit::Exit::Config`] if it is faulty.
pub fn run(args: &Args) -> Outcome {
    match &args.action {
        Action::Check { file } => super::say(&check(file).map_err(super::config_failure)?),
        Action::Default => super::say(default()),
        Action::Schema => super::say(&schema()),
    }
}

/// `config check`: what to print when the file at `path` can be used, warnings first, with a line break at the
/// end.
///
/// # Errors
/// If the file cannot be read or used; the error says all that is wrong with it.
pub fn check(path: &Path) -> Result<String, ConfigError> {
    let (_, warnings) = Config::read_with_warnings(path)?;
    let mut out = String::new();
    for warning in &warnings {
        out.push_str(&format!("{warning}\n\n"));
    }
    let tail = match warnings.len() {
        0 => String::new(),
        1 => ", with 1 warning".to_owned(),
        n => format!(", with {n} warnings"),
    };
    out.push_str(&format!("{} can be used{tail}\n", path.display()));
    Ok(out)
}

/// `config default`: a commented file with every setting at its default.
#[must_use]
pub fn default() -> &'static str {
    default_yaml()
}

/// `config schema`: the JSON Schema of the file, for editors.
#[must_use]
pub fn schema() -> String {
    json_schema()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_prints_warnings_and_a_verdict() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facewarden.yaml");
        std::fs::write(&path, default()).unwrap();
        assert!(check(&path).unwrap().ends_with("facewarden.yaml can be used\n"));
        std::fs::write(&path, default().replace("mode: enforce", "mode: off")).unwrap();
        let text = check(&path).unwrap();
        assert!(text.starts_with("warning: ") && text.ends_with(" can be used, with 1 warning\n"), "{text}");
        std::fs::write(&path, "schema: 2\n").unwrap();
        assert!(check(&path).is_err());
    }
}
