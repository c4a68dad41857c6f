//! Templates that are added by themselves, after a very sure match (`enrolment.refresh`). What was enrolled is never changed
//! by it, and what is added is measured by that alone.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::enroll::Standard;
use crate::clock::{Clock, Moment, WallTime};
use crate::config::Refresh;
use crate::domain::{Embedding, PersonId};
use crate::matching::GalleryMetric;
use crate::pipeline::Offer;
use crate::store::{Look, MAX_TEMPLATES, Person, Store, StoreError, Template};
use crate::sys::thread::{self, Thread};

/// What came of a person's offer holds for so long: looking closer reads the whole gallery, which is not to be done for
/// everybody who comes by.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A template to be, and how sure the match was that it comes from.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) template: Template,
    /// How alike to the person, -1..=1.
    pub(super) similarity: f32,
    /// How alike it had to be.
    pub(super) needed: f32,
}

/// Why nothing is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it is switched off")]
    Off,
    #[error("the match was not sure enough")]
    Unsure,
    #[error("the picture is not good enough")]
    Poor,
    #[error("the last one is too new")]
    TooSoon,
    #[error("it is too unlike what was enrolled")]
    Drifted,
    #[error("it is a copy, or like somebody else too")]
    NotTheirs,
    #[error("there are as many templates as a person can have")]
    Full,
    #[error("nobody of that name is enrolled any more")]
    Gone,
}

impl Candidate {
    /// Of a face that was offered.
    fn of(offer: Offer, now: WallTime) -> Self {
        let look = offer.pose.map(|pose| Look {
            yaw_deg: pose.yaw,
            pitch_deg: pose.pitch,
            luma: offer.newest.luma,
            sharpness: offer.newest.sharpness,
            face_px: offer.newest.width_px,
        });
        let template = Template {
            source: Some(format!("camera {}", offer.camera)),
            look,
            is_refreshed: true,
            ..Template::new(offer.embedding, offer.mean_quality, now)
        };
        Self { template, similarity: offer.similarity, needed: offer.needed }
    }

    /// What speaks against it whomever it is of. A number that is none is never enough.
    fn refusal(&self, rules: &Refresh) -> Option<Refusal> {
        let is_sure = self.similarity >= self.needed + rules.margin;
        let is_good = self.template.quality >= rules.min_quality;
        match (rules.enabled, is_sure, is_good) {
            (false, ..) => Some(Refusal::Off),
            (true, false, _) => Some(Refusal::Unsure),
            (true, true, false) => Some(Refusal::Poor),
            (true, true, true) => None,
        }
    }
}

/// How alike two faces are, as the gallery has it; `None` if they are of other models, or damaged.
fn similarity(metric: GalleryMetric, a: &Embedding, b: &Embedding) -> Option<f32> {
    match metric {
        GalleryMetric::Cosine => Some(a.cosine(b).ok()?.value()),
        GalleryMetric::Euclidean => Some(1.0 - a.euclidean(b).ok()?.powi(2) / 2.0),
    }
}

/// How alike the most alike of templates is; `None` if none can be compared.
fn best<'t>(
    templates: impl Iterator<Item = &'t Template>,
    face: &Embedding,
    metric: GalleryMetric,
) -> Option<f32> {
    templates.filter_map(|template| similarity(metric, &template.embedding, face)).max_by(f32::total_cmp)
}

fn best_original(person: &Person, face: &Embedding, metric: GalleryMetric) -> Option<f32> {
    best(person.templates.iter().filter(|template| !template.is_refreshed), face, metric)
}

/// Whether somebody else is as much like a face as what was enrolled of the person.
pub(super) fn is_nearer_to_another(
    person: &Person,
    people: &[Person],
    face: &Embedding,
    metric: GalleryMetric,
) -> bool {
    let others = people.iter().filter(|other| other.id != person.id).flat_map(|other| &other.templates);
    best(others, face, metric) >= best_original(person, face, metric)
}

/// A person with one more template; the oldest that was added by itself goes where there are too many of those. Nothing
/// that was enrolled changes.
///
/// # Errors
/// What speaks against it.
pub(super) fn refreshed(
    person: &Person,
    candidate: &Candidate,
    (rules, metric): (&Refresh, GalleryMetric),
    now: WallTime,
) -> Result<Person, Refusal> {
    if let Some(refusal) = candidate.refusal(rules) {
        return Err(refusal);
    }
    let newest = person.templates.iter().filter(|t| t.is_refreshed).map(|t| t.added).max();
    if newest.is_some_and(|newest| now < newest + DAY * u32::from(rules.min_days)) {
        return Err(Refusal::TooSoon);
    }
    let face = &candidate.template.embedding;
    // Also as much as the match needed: whom only added templates know adds no more of them.
    let least = rules.min_similarity_to_originals.max(candidate.needed);
    if best_original(person, face, metric).is_none_or(|alike| alike < least) {
        return Err(Refusal::Drifted);
    }
    let mut after = person.clone();
    let is_one = |template: &Template| template.is_refreshed && template.embedding.model() == face.model();
    while after.templates.iter().filter(|template| is_one(template)).count() >= rules.max_templates.into() {
        let ones = after.templates.iter().enumerate().filter(|(_, template)| is_one(template));
        // Where none is allowed there is none to make room.
        let (at, _) = ones.min_by_key(|(_, template)| template.added).ok_or(Refusal::Off)?;
        after.templates.remove(at);
    }
    if after.templates.len() >= MAX_TEMPLATES {
        return Err(Refusal::Full);
    }
    after.templates.push(Template { is_refreshed: true, added: now, ..candidate.template.clone() });
    Ok(after)
}

/// What came of an offer that was looked at closer.
type Outcome = Result<Result<(), Refusal>, StoreError>;

/// Adds templates to people who were verified, one at a time, on a thread of its own: whoever else writes to the gallery is
/// waited for there.
#[derive(Default)]
pub(super) struct Refresher {
    at_work: Option<(PersonId, Thread<Outcome>)>,
    /// Whose offers were looked at closer, and when.
    looked_at: BTreeMap<PersonId, Moment>,
    /// What went wrong, as last said.
    trouble: Option<String>,
}

impl Refresher {
    /// Takes an offer, and begins to add it to its person where nothing speaks against it. While another is looked at it is
    /// let go: the next match will do.
    pub(super) fn take(
        &mut self,
        open: impl FnOnce() -> Result<Store, StoreError> + Send + 'static,
        standard: &Standard,
        offer: Offer,
        rules: &Refresh,
        clock: &dyn Clock,
    ) {
        let (at, person) = (clock.now(), offer.person.clone());
        let now = clock.wall(at);
        let candidate = Candidate::of(offer, now);
        self.looked_at.retain(|_, looked| at.since(*looked) < LOOK_AGAIN_AFTER);
        if candidate.refusal(rules).is_some() || self.is_at_work() || self.looked_at.contains_key(&person) {
            return;
        }
        let (name, standard, rules) = (person.clone(), standard.clone(), rules.clone());
        let work = move || add(&open()?, &standard, (&name, &candidate), &rules, now);
        match thread::spawn("refresh", work) {
            Ok(thread) => {
                self.looked_at.insert(person.clone(), at);
                self.at_work = Some((person, thread));
            }
            Err(error) => tracing::warn!("no template can be added to anybody now: {error}"),
        }
    }

    /// Whether an offer is being looked at, or what came of it was not asked for yet.
    pub(super) fn is_at_work(&self) -> bool {
        self.at_work.is_some()
    }

    /// What came of the last offer, where that is known by now: true if a template was added.
    ///
    /// # Errors
    /// What is wrong with the gallery, to be told; the same is not told again until it worked.
    pub(super) fn outcome(&mut self) -> Result<bool, String> {
        let Some((person, thread)) = self.at_work.take_if(|(_, thread)| thread.is_finished()) else {
            return Ok(false);
        };
        let error = match thread.join() {
            Ok(Ok(outcome)) => {
                self.trouble = None;
                match outcome {
                    Ok(()) => tracing::info!("a template was added to somebody after a very sure match"),
                    Err(refusal) => tracing::debug!("no template was added to somebody: {refusal}"),
                }
                return Ok(outcome.is_ok());
            }
            Ok(Err(StoreError::Locked(_))) => {
                // Somebody else is writing: the next match will do.
                self.looked_at.remove(&person);
                return Ok(false);
            }
            // Its own words name the person.
            Ok(Err(StoreError::Unstorable { source, .. })) => source.to_string(),
            Ok(Err(other)) => other.to_string(),
            Err(defect) => defect.to_string(),
        };
        let message = format!("a template could not be added to somebody by itself: {error}");
        tracing::warn!("{message}");
        if self.trouble.as_ref() == Some(&message) {
            return Ok(false);
        }
        self.trouble = Some(message.clone());
        Err(message)
    }

    /// Ends it without waiting. What is half done is not lost nor damaged: a file is written whole or not at all.
    pub(super) fn end(self) {
        if let Some((_, thread)) = self.at_work {
            thread.join_within(Duration::ZERO).map(drop).unwrap_or_else(|error| tracing::info!("{error}"));
        }
    }
}

/// Looks once more while nobody else can change the gallery, and writes.
fn add(
    store: &Store,
    standard: &Standard,
    (name, candidate): (&PersonId, &Candidate),
    rules: &Refresh,
    now: WallTime,
) -> Outcome {
    let mut changes = store.begin()?;
    let Some(person) = changes.get(name) else { return Ok(Err(Refusal::Gone)) };
    let after = match refreshed(person, candidate, (rules, standard.metric()), now) {
        Ok(after) => after,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let (face, people) = (&candidate.template.embedding, changes.people());
    // Where a template is damaged nothing can be said for it.
    if is_nearer_to_another(person, people, face, standard.metric())
        || !standard.vouches(name, face, people).unwrap_or(false)
    {
        return Ok(Err(Refusal::NotTheirs));
    }
    changes.change(name, now, |person| person.templates = after.templates)?;
    Ok(Ok(()))
}
