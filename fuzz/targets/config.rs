//! The configuration file and the models' manifests: any text is read or refused, with a place that exists.
#![no_main]

use facewarden::config::{Config, ConfigError, Manifest};
use libfuzzer_sys::fuzz_target;

fn check(text: &str, error: &ConfigError) {
    let lines = text.lines().count();
    assert!(!error.diagnostics().is_empty() && !error.to_string().is_empty());
    for place in error.diagnostics().iter().filter_map(|diagnostic| diagnostic.place) {
        assert!(place.line >= 1 && place.column >= 1 && place.line <= lines + 1, "{place:?} of {lines}");
    }
}

fuzz_target!(|text: &str| {
    match Config::from_yaml_with_warnings(text, "fuzz") {
        // What was accepted once is accepted again.
        Ok((config, _)) => assert!(facewarden::config::check(&config)
            .iter()
            .all(|finding| finding.severity == facewarden::config::Severity::Warning)),
        Err(error) => check(text, &error),
    }
    if let Err(error) = Manifest::from_yaml(text, "fuzz") {
        check(text, &error);
    }
});
