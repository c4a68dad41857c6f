//! `facewarden config`: the settings checked, shown and described, without starting anything.

use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure, Outcome};
use super::liveness_test::untested;
use super::terms::{Terms, embedder_of, enrolled};
use crate::config::{Config, default_yaml, json_schema};
use crate::domain::CameraId;

/// Arguments of `config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Check a configuration file without starting anything, and say what its target comes to
    ///
    /// Prints the similarity needed for the people who are enrolled, how many false grants a month are to be
    /// expected, and how far the evidence for that goes. Refuses a target that the model's calibration cannot support,
    /// unless `decision.allow_extrapolation` is set.
    Check {
        /// The file
        #[arg(default_value = super::DEFAULT_CONFIG)]
        file: PathBuf,
        /// Say it for so many people enrolled [default: as many as are]
        #[arg(long, value_name = "N")]
        people: Option<usize>,
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
        Action::Check { file, people } => super::say(&check(file, *people)?),
        Action::Default => super::say(default()),
        Action::Schema => super::say(&schema()),
    }
}

/// `config check`: what to print when the file at `path` can be used, warnings first, with a line break at the
/// end.
///
/// # Errors
/// If the file cannot be read or used, the error says all that is wrong with it; or if the embedder's manifest is
/// missing or cannot support the target.
pub fn check(path: &Path, people: Option<usize>) -> Result<String, Failure> {
    let (config, warnings) = Config::read_with_warnings(path).map_err(super::config_failure)?;
    let embedder = embedder_of(&config)?;
    let (people, whence) = match people {
        Some(people) => (people, "as asked"),
        None => match enrolled(&config.gallery) {
            Ok(Some(people)) => (people, "enrolled now"),
            Ok(None) => (1, "assumed: there is no gallery yet"),
            // Checking needs no right to look at the gallery.
            Err(failure) if failure.exit == Exit::Permission => (1, "assumed: the gallery cannot be read"),
            Err(failure) => return Err(failure),
        },
    };
    let mut out = String::new();
    for warning in &warnings {
        out.push_str(&format!("{warning}\n\n"));
    }
    let mut count = warnings.len();
    let mut reports: Vec<(CameraId, String)> = Vec::new();
    let mut said: Vec<String> = Vec::new();
    for own in config.one_by_one() {
        let terms = Terms::new(&own, &embedder.name, embedder.calibration.as_ref(), true)?;
        let beyond = terms.out_of_reach(people).or_else(|| terms.beyond_data(people));
        for message in beyond.into_iter().chain(untested(&own)?) {
            if !said.contains(&message) {
                count += 1;
                out.push_str(&format!("warning: {message}\n\n"));
                said.push(message);
            }
        }
        reports.extend(own.cameras.into_iter().map(|camera| (camera.id, terms.report(people))));
    }
    let tail = match count {
        0 => String::new(),
        1 => ", with 1 warning".to_owned(),
        n => format!(", with {n} warnings"),
    };
    out.push_str(&format!("{} can be used{tail}\n", path.display()));
    let noun = if people == 1 { "person" } else { "people" };
    out.push_str(&format!("{people} {noun} ({whence}):\n"));
    let (first, others) =
        reports.split_first().map_or((None, [].as_slice()), |(one, rest)| (Some(one), rest));
    let Some((_, report)) = first else { return Ok(out) };
    if others.iter().all(|(_, other)| other == report) {
        out.push_str(report);
    } else {
        reports.iter().for_each(|(camera, report)| out.push_str(&format!(" at {camera}:\n{report}")));
    }
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

    fn checked(change: impl Fn(&str) -> String) -> Result<String, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facewarden.yaml");
        let gallery = folder.path().join("enrolled");
        let text = default().replace("/var/lib/facewarden/enrolled", &gallery.display().to_string());
        std::fs::write(&path, change(&text)).unwrap();
        check(&path, None)
    }

    #[test]
    fn check_prints_warnings_a_verdict_and_what_it_comes_to() {
        let text = checked(str::to_owned).unwrap();
        assert!(
            text.contains("facewarden.yaml can be used\n1 person (assumed: there is no gallery yet):\n"),
            "{text}"
        );
        for line in [
            "  threshold ",
            "  expected ",
            "  false grants ",
            "  evidence           measured; half of the people",
        ] {
            assert!(text.contains(line), "{text}");
        }
        let text = checked(|text| text.replace("mode: enforce", "mode: off")).unwrap();
        assert!(text.starts_with("warning: ") && text.contains(" can be used, with 1 warning\n"), "{text}");
        let failure = checked(|_| "schema: 2\n".to_owned()).unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
    }

    #[test]
    fn a_target_that_the_data_cannot_support_is_refused_unless_told_to() {
        let strict = |text: &str| text.replace("false_match_rate: 1.0e-4\n", "false_match_rate: 1.0e-9\n");
        let refused = checked(strict).unwrap_err();
        assert_eq!(refused.exit, Exit::Config);
        assert!(refused.to_string().contains("is not supported by data"), "{refused}");
        assert!(refused.to_string().contains("allow_extrapolation: true"), "{refused}");
        let told =
            |text: &str| strict(text).replace("allow_extrapolation: false", "allow_extrapolation: true");
        let text = checked(told).unwrap();
        assert!(text.starts_with("warning: ") && text.contains("DRAWN ON"), "{text}");
    }

    #[test]
    fn a_self_test_that_is_asked_for_and_missing_is_said() {
        let text = checked(|text| {
            let text = text.replace("require_self_test: false", "require_self_test: true");
            text.replace("self_test_file: /var/lib/facewarden", "self_test_file: /nonexistent")
        });
        let text = text.unwrap();
        assert!(
            text.starts_with("warning: nobody is verified at camera door, because")
                && text.contains("liveness-test"),
            "{text}"
        );
    }

    #[test]
    fn many_people_are_a_warning_and_no_refusal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facewarden.yaml");
        std::fs::write(&path, default()).unwrap();
        let text = check(&path, Some(200)).unwrap();
        assert!(text.starts_with("warning: with 200 people enrolled the threshold"), "{text}");
        assert!(text.contains("200 people (as asked):"), "{text}");
    }
}
