//! The gallery of a running daemon: loaded, watched for changes, and never trusted when in doubt.

use std::collections::BTreeMap;

use super::daemon::GLANCE_MS;
use super::exit::Failure;
use super::gallery::{open_configured, store_failure};
use super::terms::Terms;
use crate::clock::WallTime;
use crate::config::{self, Metric};
use crate::domain::{EventKind, GroupId, ModelDigest, Particulars, PersonId, SiteRules};
use crate::inference::{Embedder, OrtEmbedder};
use crate::matching::{Gallery, GalleryEntry, GalleryMetric, SharedGallery, Standings};
use crate::pipeline::Announcer;
use crate::store::{Fingerprint, Loaded, Person, RecordId, Store, Template};

/// The people of a gallery folder, ready to be searched with this embedder.
pub(super) fn searched(loaded: &Loaded, embedder: &OrtEmbedder, rules: SiteRules) -> Gallery {
    with_people(embedder.digest(), metric(embedder), embedder.spec().dimension, loaded, rules)
}

/// The people of a gallery folder with all that is known of them. `rules` hold for all.
fn with_people(
    model: ModelDigest,
    metric: GalleryMetric,
    dimension: usize,
    loaded: &Loaded,
    rules: SiteRules,
) -> Gallery {
    Gallery::new(model, metric, dimension, &entries(loaded))
        .with_groups(groups(loaded))
        .with_standings(Standings::new(rules, particulars(loaded)))
}

fn metric(embedder: &OrtEmbedder) -> GalleryMetric {
    match embedder.spec().metric {
        Metric::Cosine => GalleryMetric::Cosine,
        Metric::Euclidean => GalleryMetric::Euclidean,
    }
}

fn entries(loaded: &Loaded) -> Vec<GalleryEntry> {
    let of = |person: &Person| {
        let entry = |template: &Template| GalleryEntry {
            person: person.name.clone(),
            template: template.embedding.clone(),
        };
        person.templates.iter().map(entry).collect::<Vec<_>>()
    };
    loaded.people.iter().flat_map(of).collect()
}

/// The groups of everybody.
fn groups(loaded: &Loaded) -> impl Iterator<Item = (PersonId, Vec<GroupId>)> + '_ {
    loaded.people.iter().map(|person| (person.name.clone(), person.groups.clone()))
}

/// What else is known of everybody.
fn particulars(loaded: &Loaded) -> impl Iterator<Item = (PersonId, Particulars)> + '_ {
    loaded.people.iter().map(|person| (person.name.clone(), person.particulars.clone()))
}

/// Who is served, by their records.
type Served = BTreeMap<RecordId, Known>;

/// What is known of somebody who is served.
#[derive(Clone, PartialEq)]
struct Known {
    name: PersonId,
    changed: WallTime,
    templates: usize,
    groups: Vec<GroupId>,
    particulars: Particulars,
}

/// Follows a gallery folder.
pub(super) struct PeopleWatch {
    store: Store,
    gallery: SharedGallery,
    model: ModelDigest,
    metric: GalleryMetric,
    dimension: usize,
    /// What follows for whoever is verified from how many are enrolled.
    terms: Terms,
    /// What holds for everybody.
    rules: SiteRules,
    seen: Option<Fingerprint>,
    /// Who is served: which files, in which state.
    served: Option<Served>,
    /// What is wrong with the gallery, as last said.
    trouble: Vec<String>,
    /// The folder could not be read at the last look, and nobody is recognised.
    is_shut: bool,
    /// The rules have changed since the gallery was made.
    is_outdated: bool,
    glances_per_check: u32,
    glances: u32,
}

impl PeopleWatch {
    /// Opens the folder and loads everybody; damaged files are moved to quarantine and reported.
    pub(super) fn open(
        settings: &config::Gallery,
        embedder: &OrtEmbedder,
        terms: Terms,
        rules: SiteRules,
    ) -> Result<Self, Failure> {
        let store = open_configured(settings).map_err(store_failure)?;
        let metric = metric(embedder);
        let (model, dimension) = (embedder.digest(), embedder.spec().dimension);
        let glances_per_check =
            u32::try_from(settings.reload_every_ms / GLANCE_MS).unwrap_or(u32::MAX).max(1);
        let mut watch = Self {
            store,
            gallery: SharedGallery::new(Gallery::new(model, metric, dimension, &[])),
            model,
            metric,
            dimension,
            terms,
            rules,
            seen: None,
            served: None,
            trouble: Vec::new(),
            is_shut: false,
            is_outdated: false,
            glances_per_check,
            glances: 0,
        };
        let loaded = watch.store.load_and_quarantine().map_err(store_failure)?;
        watch.serve(loaded, None);
        Ok(watch)
    }

    /// Goes on by other settings, those about people from the next [`PeopleWatch::refresh`] on.
    pub(super) fn adopt(&mut self, terms: Terms, rules: SiteRules) {
        self.terms = terms;
        if std::mem::replace(&mut self.rules, rules) != self.rules {
            // What is served is no more what would be served.
            self.is_outdated = true;
        }
    }

    /// The gallery to search.
    pub(super) fn gallery(&self) -> SharedGallery {
        self.gallery.clone()
    }

    /// How many people can be recognised.
    pub(super) fn count(&self) -> usize {
        self.gallery.current().people()
    }

    /// What is wrong with the gallery.
    pub(super) fn trouble(&self) -> &[String] {
        &self.trouble
    }

    /// Says what is wrong with the gallery, as an event each.
    pub(super) fn report(&self, announcer: &Announcer) {
        for message in &self.trouble {
            tracing::warn!("{message}");
            announcer.announce(EventKind::Degraded { message: message.clone() });
        }
    }

    /// Called at every glance of the main thread; looks at the folder when it is time or `now`.
    pub(super) fn refresh(&mut self, now: bool, announcer: &Announcer) {
        self.glances += 1;
        if !now && self.glances < self.glances_per_check {
            return;
        }
        self.glances = 0;
        let loaded = match self.store.fingerprint() {
            Ok(fingerprint) if !now && Some(&fingerprint) == self.seen.as_ref() => return,
            Ok(_) => self.store.load_and_quarantine(),
            Err(error) => Err(error),
        };
        let before = std::mem::take(&mut self.trouble);
        match loaded {
            Ok(loaded) => {
                let known = self.served.take();
                self.serve(loaded, known.as_ref());
                self.announce_changes(known.as_ref(), announcer);
                tracing::info!(people = self.count(), "gallery loaded again");
            }
            Err(error) => {
                // Somebody may just have been removed: who is still allowed cannot be known, so nobody is. Once is
                // enough: each replacement makes the decider forget what it has gathered.
                if !std::mem::replace(&mut self.is_shut, true) {
                    self.gallery.replace(Gallery::new(self.model, self.metric, self.dimension, &[]));
                }
                self.seen = None;
                self.trouble = vec![format!("the gallery cannot be read, so nobody is recognised: {error}")];
            }
        }
        if self.trouble != before {
            self.report(announcer);
        }
    }

    /// Tells who came, who changed and who is gone, by their records.
    fn announce_changes(&self, before: Option<&Served>, announcer: &Announcer) {
        let (Some(before), Some(now)) = (before, &self.served) else { return };
        for (id, known) in before.iter().filter(|(id, _)| !now.contains_key(id)) {
            let (record, groups) = (id.to_string(), known.groups.clone());
            announcer.announce(EventKind::PersonRemoved { record, groups });
        }
        for (id, known) in now {
            let Known { name: person, changed, templates, groups, particulars: _ } = known.clone();
            let record = id.to_string();
            let kind = match before.get(id) {
                None => EventKind::PersonEnrolled { person, record, templates, groups },
                Some(was) if was.changed != changed || was.templates != templates || was.name != person => {
                    let was = (was.name != person).then(|| was.name.clone());
                    EventKind::PersonChanged { person, record, was, templates, groups }
                }
                Some(_) => continue,
            };
            announcer.announce(kind);
        }
    }

    fn serve(&mut self, loaded: Loaded, before: Option<&Served>) {
        let gallery = with_people(self.model, self.metric, self.dimension, &loaded, self.rules.clone());
        self.trouble = loaded.refused.iter().map(ToString::to_string).collect();
        if gallery.skipped() > 0 {
            self.trouble.push(format!(
                "{} templates were made by another model than the one in use and cannot be recognised; enrol these \
                 people again (see `facewarden persons list`)",
                gallery.skipped()
            ));
        }
        self.trouble.extend(self.terms.out_of_reach(gallery.people()));
        // No trouble: events say so of each decision, and `config check` beforehand.
        if gallery.people() != self.count()
            && let Some(beyond) = self.terms.beyond_data(gallery.people())
        {
            tracing::info!("{beyond}");
        }
        // A file that was set aside changes the folder and nobody who is served: evidence under way stays good.
        let known = |p: &Person| Known {
            name: p.name.clone(),
            changed: p.changed,
            templates: p.templates.len(),
            groups: p.groups.clone(),
            particulars: p.particulars.clone(),
        };
        let served: Served = loaded.people.iter().map(|p| (p.id, known(p))).collect();
        if self.is_shut || self.is_outdated || before != Some(&served) {
            self.gallery.replace(gallery);
        }
        self.served = Some(served);
        self.is_shut = false;
        self.is_outdated = false;
        self.seen = Some(loaded.fingerprint);
    }
}
