//! Somebody who is enrolled, as programs are told of them: `persons --json` and the API alike.

use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::clock::WallTime;
use crate::cmds::enroll::Coverage;
use crate::config::Role;
use crate::domain::{Barred, GroupId, ModelDigest, Particulars, PersonId, Reason};
use crate::inference::ModelFolders;
use crate::store::Person;

/// A person in JSON.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cmds) struct PersonReport {
    name: PersonId,
    groups: Vec<GroupId>,
    particulars: Particulars,
    /// Why they may not be let in now, as events name it; `null` if they may.
    barred: Option<Reason>,
    file: String,
    enrolled: WallTime,
    changed: WallTime,
    templates: Vec<TemplateReport>,
    /// Templates that the model in use cannot compare; `null` if that model is not known here.
    templates_of_other_models: Option<usize>,
    coverage: Coverage,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cmds) struct TemplateReport {
    source: Option<String>,
    added: WallTime,
    /// Added by itself after a very sure match.
    refreshed: bool,
    /// The photo it was made of is kept.
    has_photo: bool,
    model_digest: String,
    /// The name of the model, if its manifest is here.
    model: Option<String>,
}

/// The embedders whose manifests are here. Told apart by digest without loading any.
pub(in crate::cmds) struct Models {
    named: Vec<(ModelDigest, String)>,
    pub(super) current: Option<ModelDigest>,
    /// Why the model in use is not known.
    pub(super) trouble: Option<String>,
}

impl Models {
    /// Those in the folders, of which `current` is the name of the one in use.
    pub(in crate::cmds) fn known(folders: &ModelFolders, current: &str) -> Self {
        let digest = |name: &str| {
            let (_, manifest) = folders.manifest(name).map_err(|e| e.to_string())?;
            match manifest.role {
                Role::Embedder(_) => Ok(ModelDigest(Sha256::digest(manifest.digest_input()).into())),
                _ => Err(format!("{name} is no embedder")),
            }
        };
        let names = folders.names().into_iter();
        let named = names.filter_map(|name| Some((digest(&name).ok()?, name))).collect();
        match digest(current) {
            Ok(current) => Self { named, current: Some(current), trouble: None },
            Err(trouble) => Self { named, current: None, trouble: Some(trouble) },
        }
    }

    fn find(&self, digest: ModelDigest) -> Option<&str> {
        self.named.iter().find(|(known, _)| *known == digest).map(|(_, name)| name.as_str())
    }

    pub(super) fn name_of(&self, digest: ModelDigest) -> String {
        let short = digest.short();
        self.find(digest).map_or_else(|| format!("unknown ({short})"), |name| format!("{name} ({short})"))
    }

    /// How many templates the model in use cannot compare.
    pub(super) fn foreign(&self, person: &Person) -> Option<usize> {
        let current = self.current?;
        Some(person.templates.iter().filter(|t| t.embedding.model() != current).count())
    }

    /// Somebody as they are reported; `barred` says why they may not be let in now.
    pub(in crate::cmds) fn report(&self, person: &Person, barred: Option<Barred>) -> PersonReport {
        let templates = person.templates.iter().map(|t| TemplateReport {
            source: t.source.clone(),
            added: t.added,
            refreshed: t.is_refreshed,
            has_photo: t.photo.is_some(),
            model_digest: t.embedding.model().to_string(),
            model: self.find(t.embedding.model()).map(str::to_owned),
        });
        PersonReport {
            name: person.name.clone(),
            groups: person.groups.clone(),
            particulars: person.particulars.clone(),
            barred: barred.map(Reason::from),
            file: person.id.file_name(),
            enrolled: person.created,
            changed: person.changed,
            templates: templates.collect(),
            templates_of_other_models: self.foreign(person),
            coverage: Coverage::of(person, self.current),
        }
    }
}
