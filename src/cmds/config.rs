//! `facewarden config`: the settings checked, shown and described, without starting anything.

use std::path::Path;

use crate::config::{Config, ConfigError, default_yaml, json_schema};

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
