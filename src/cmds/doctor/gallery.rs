//! Who is enrolled, and whether all of their files can be used.

use super::finding::{Findings, State};
use super::user::User;
use crate::cmds::gallery::open_configured;
use crate::cmds::terms::{Terms, embedder_of};
use crate::config::Config;
use crate::domain::ModelDigest;
use crate::store::{KeyPlace, Loaded};

const CHECK: &str = "gallery";

/// Reads the gallery and changes nothing. `model` is the digest of the embedder in use; `daemon` whoever the daemon runs
/// as, where that is known.
pub(super) fn examine(config: &Config, model: Option<ModelDigest>, daemon: Option<&User>) -> Findings {
    let mut found = Findings::default();
    let folder = &config.gallery.folder;
    if let Some(key) = &config.gallery.key
        && KeyPlace::at(key).is_elsewhere()
    {
        found.warn(
            CHECK,
            "its key is a credential of the service, so who is enrolled cannot be looked at from here",
            "facewarden ctl status says how many the daemon knows",
        );
        return found;
    }
    let loaded = match open_configured(&config.gallery).and_then(|store| store.load()) {
        Ok(loaded) => loaded,
        Err(error) => {
            found.say(CHECK, State::Fail, format_args!("nobody can be let in: {error}"));
            return found;
        }
    };
    if let Some(user) = daemon
        && owner(folder).is_some_and(|owner| owner != user.id)
    {
        found.fail(
            CHECK,
            format_args!("{} does not belong to {}, whom the daemon runs as", folder.display(), user.name),
            &format!("chown -R {0}:{0} {1}", user.name, folder.display()),
        );
    }
    for file in &loaded.refused {
        found.say(
            CHECK,
            State::Fail,
            format_args!("not used: {file}; enrol that person again, or restore the file"),
        );
    }
    count(&loaded, model, &mut found);
    if let Ok(embedder) = embedder_of(config) {
        match Terms::new(config, &embedder.name, embedder.calibration.as_ref(), true) {
            Ok(terms) => {
                if let Some(message) = terms.out_of_reach(loaded.people.len()) {
                    found.say(CHECK, State::Warn, message);
                }
            }
            Err(failure) => found.say(CHECK, State::Fail, failure),
        }
    }
    found
}

fn count(loaded: &Loaded, model: Option<ModelDigest>, found: &mut Findings) {
    let people = loaded.people.len();
    if people == 0 {
        found.warn(CHECK, "nobody is enrolled", "facewarden enroll NAME PICTURES...");
        return;
    }
    let templates = || loaded.people.iter().flat_map(|person| &person.templates);
    found.ok(CHECK, format_args!("{people} enrolled, with {} pictures", templates().count()));
    let is_unclear = |person: &&crate::store::Person| {
        person.particulars.admission.schedule.as_ref().is_some_and(|schedule| schedule.check().is_err())
    };
    let unclear: Vec<_> =
        loaded.people.iter().filter(is_unclear).map(|person| person.name.to_string()).collect();
    if !unclear.is_empty() {
        found.fail(
            CHECK,
            format_args!(
                "never let in, since the time zone of their schedule is not known here: {}",
                unclear.join(", ")
            ),
            "facewarden persons set NAME --schedule HOURS --time-zone ZONE",
        );
    }
    let Some(model) = model else { return };
    let is_strange = |person: &&crate::store::Person| {
        person.templates.iter().all(|template| template.embedding.model() != model)
    };
    let strangers: Vec<_> =
        loaded.people.iter().filter(is_strange).map(|person| person.name.to_string()).collect();
    if !strangers.is_empty() {
        found.fail(
            CHECK,
            format_args!("enrolled with another model and never recognised: {}", strangers.join(", ")),
            "enrol them again",
        );
    }
}

fn owner(folder: &std::path::Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(folder).ok().map(|metadata| metadata.uid())
}
