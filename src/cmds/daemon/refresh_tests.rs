use std::time::Duration;

use proptest::prelude::*;

use super::super::enroll::{Standard, nobody_yet};
use super::refresh::{Candidate, Refresher, Refusal, is_nearer_to_another, refreshed};
use crate::clock::{Clock, Moment, SimulatedClock, SystemClock, WallTime};
use crate::config::Refresh;
use crate::domain::{CameraId, Embedding, ModelDigest, PersonId, Quality};
use crate::matching::GalleryMetric;
use crate::pipeline::Offer;
use crate::store::{Person, Store, Template};

const MODEL: ModelDigest = ModelDigest([1; 32]);
const OTHER_MODEL: ModelDigest = ModelDigest([2; 32]);
const METRIC: GalleryMetric = GalleryMetric::Cosine;

/// A direction in the plane, in degrees.
fn face(model: ModelDigest, degrees: f32) -> Embedding {
    let (sin, cos) = degrees.to_radians().sin_cos();
    Embedding::new(model, vec![cos, sin]).unwrap()
}

fn day(day: i64) -> WallTime {
    WallTime(jiff::Timestamp::from_second(1_800_000_000 + day * 86_400).unwrap())
}

fn name(name: &str) -> PersonId {
    PersonId::new(name).unwrap()
}

/// Somebody with these pictures of the model and one of another.
fn ann(originals: &[f32]) -> Person {
    let mut person = nobody_yet(&name("Ann"), day(0));
    let template = |degrees: &f32| Template::new(face(MODEL, *degrees), 0.9, day(0));
    person.templates.extend(originals.iter().map(template));
    person.templates.push(Template::new(face(OTHER_MODEL, 180.0), 0.9, day(0)));
    person
}

fn candidate(degrees: f32, similarity: f32) -> Candidate {
    Candidate { template: Template::new(face(MODEL, degrees), 0.9, day(0)), similarity, needed: 0.4 }
}

fn rules() -> Refresh {
    Refresh { enabled: true, ..Refresh::default() }
}

#[test]
fn what_speaks_against_it_is_found() {
    let with = |change: fn(&mut Refresh), candidate: &Candidate, at| {
        let mut rules = rules();
        change(&mut rules);
        refreshed(&ann(&[0.0]), candidate, (&rules, METRIC), at).err()
    };
    let good = candidate(20.0, 0.9);
    assert_eq!(with(|_| (), &good, day(1)), None);
    assert_eq!(with(|rules| rules.enabled = false, &good, day(1)), Some(Refusal::Off));
    assert_eq!(with(|_| (), &candidate(20.0, 0.54), day(1)), Some(Refusal::Unsure));
    assert_eq!(with(|_| (), &candidate(20.0, f32::NAN), day(1)), Some(Refusal::Unsure));
    assert_eq!(with(|rules| rules.min_quality = 0.95, &good, day(1)), Some(Refusal::Poor));
    assert_eq!(with(|_| (), &candidate(65.0, 0.9), day(1)), Some(Refusal::Drifted), "0.42 of 0.5");
    // What the match needed is the least, whatever the settings say.
    let strict = Candidate { needed: 0.7, ..candidate(50.0, 0.9) };
    assert_eq!(with(|_| (), &strict, day(1)), Some(Refusal::Drifted), "0.64 of 0.7");
    assert_eq!(with(|_| (), &Candidate { needed: 0.6, ..strict }, day(1)), None);
}

#[test]
fn what_was_added_vouches_for_nothing() {
    let rules = rules();
    let once = refreshed(&ann(&[0.0]), &candidate(50.0, 0.9), (&rules, METRIC), day(1)).unwrap();
    assert!(once.templates.last().unwrap().is_refreshed);
    // Alike to the added one, and no more to the enrolled one.
    let further = candidate(65.0, 0.97);
    assert_eq!(refreshed(&once, &further, (&rules, METRIC), day(9)).unwrap_err(), Refusal::Drifted);
    let mut alone = once.clone();
    alone.templates.retain(|template| template.is_refreshed);
    let same = candidate(50.0, 1.0);
    assert_eq!(refreshed(&alone, &same, (&rules, METRIC), day(9)).unwrap_err(), Refusal::Drifted);
}

proptest! {
    /// Whatever comes by for however long: what was enrolled stays as it is and in its order, and what is added keeps to
    /// every bound.
    #[test]
    fn bounds_hold_whoever_comes_by(
        originals in prop::collection::vec(-30.0_f32..30.0, 1..4),
        visits in prop::collection::vec((0_i64..12, -180.0_f32..180.0, 0.0_f32..1.0, 0.0_f32..1.0), 0..40),
        enabled in prop::bool::weighted(0.9),
        max_templates in 1_u8..5,
        min_days in 1_u16..15,
        least in 0.0_f32..1.0,
    ) {
        let rules = Refresh { enabled, max_templates, min_days, min_similarity_to_originals: least, ..rules() };
        let before = ann(&originals);
        let (mut person, mut now, mut last) = (before.clone(), 0, None);
        for (days, degrees, similarity, quality) in visits {
            now += days;
            let mut candidate = candidate(degrees, similarity);
            candidate.template.quality = quality;
            let Ok(after) = refreshed(&person, &candidate, (&rules, METRIC), day(now)) else { continue };
            prop_assert!(enabled && similarity >= 0.4 + rules.margin && quality >= rules.min_quality);
            prop_assert!(last.is_none_or(|last| now - last >= i64::from(min_days)));
            last = Some(now);
            person = after;
            let (added, enrolled): (Vec<_>, Vec<_>) =
                person.templates.iter().cloned().partition(|template| template.is_refreshed);
            prop_assert_eq!(&enrolled, &before.templates);
            prop_assert!(!added.is_empty() && added.len() <= usize::from(max_templates));
            prop_assert_eq!(added.last().unwrap().added, day(now), "the newest is kept");
            for template in &added {
                let alike = |original: &f32| face(MODEL, *original).cosine(&template.embedding).unwrap().value();
                prop_assert!(originals.iter().map(alike).any(|alike| alike >= least.max(0.4)));
            }
            prop_assert_eq!(Person { templates: before.templates.clone(), ..person.clone() }, before.clone());
        }
    }
}

/// A gallery on disk with Ann at 0 degrees and Bert at 90, and somebody who adds to it.
struct Desk {
    folder: tempfile::TempDir,
    store: Store,
    refresher: Refresher,
    clock: SimulatedClock,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_or_create(folder.path().join("enrolled")).unwrap();
        for (who, degrees) in [("Ann", 0.0), ("Bert", 90.0)] {
            let template = Template::new(face(MODEL, degrees), 0.9, day(0));
            store.enrol(&name(who), vec![template], day(0)).unwrap();
        }
        Self { folder, store, refresher: Refresher::default(), clock: SimulatedClock::new(day(1).0) }
    }

    fn keep(&mut self, who: &str, degrees: f32, similarity: f32) -> Result<bool, String> {
        let newest = Quality {
            score: 0.9,
            width_px: 80.0,
            sharpness: 50.0,
            luma: 120.0,
            contrast: 0.3,
            frontality: 1.0,
            faults: Vec::new(),
        };
        let offer = Offer {
            camera: CameraId::new("door").unwrap(),
            person: name(who),
            embedding: face(MODEL, degrees),
            similarity,
            needed: 0.4,
            mean_quality: 0.8,
            newest,
            pose: None,
            generation: 0,
        };
        let folder = self.folder.path().join("enrolled");
        let open = move || Store::open(folder);
        self.refresher.take(open, &Standard::scripted(0.6), offer, &rules(), &self.clock);
        while self.refresher.is_at_work() {
            match self.refresher.outcome() {
                Ok(false) => SystemClock::new().sleep(Duration::from_millis(1)),
                other => return other,
            }
        }
        Ok(false)
    }

    fn templates(&self, who: &str) -> Vec<Template> {
        self.store.get(&name(who)).unwrap().templates
    }

    fn wait(&self, time: Duration) {
        self.clock.advance(time);
    }
}

const HOURS: Duration = Duration::from_secs(2 * 60 * 60);

#[test]
fn a_sure_match_adds_one_and_an_unsure_one_does_not() {
    let mut desk = Desk::new();
    assert_eq!(desk.keep("Ann", -20.0, 0.5), Ok(false));
    assert_eq!(desk.templates("Ann").len(), 1);
    assert_eq!(desk.keep("Ann", -20.0, 0.9), Ok(true));
    let templates = desk.templates("Ann");
    assert_eq!(templates.iter().map(|t| t.is_refreshed).collect::<Vec<_>>(), [false, true]);
    assert_eq!((templates[1].source.as_deref(), templates[1].quality), (Some("camera door"), 0.8));
    desk.wait(HOURS);
    assert_eq!(desk.keep("Ann", -25.0, 0.9), Ok(false), "too soon");
    desk.wait(Duration::from_secs(8 * 24 * 60 * 60));
    assert_eq!(desk.keep("Ann", -25.0, 0.9), Ok(true));
    assert_eq!((desk.templates("Ann").len(), desk.templates("Bert").len()), (3, 1));
}

#[test]
fn nobody_is_given_what_is_like_somebody_else_or_there_already() {
    let mut desk = Desk::new();
    // As like Bert as two pictures of one person are.
    assert_eq!(desk.keep("Ann", 40.0, 0.9), Ok(false));
    desk.wait(HOURS);
    assert_eq!(desk.keep("Ann", 0.0, 1.0), Ok(false), "a copy");
    desk.wait(HOURS);
    assert_eq!(desk.keep("Nobody", 0.0, 1.0), Ok(false));
    assert_eq!(desk.templates("Ann").len(), 1);
    desk.wait(HOURS);
    assert_eq!(desk.keep("Ann", -30.0, 0.9), Ok(true));
}

#[test]
fn it_is_told_whom_a_face_is_nearer_to() {
    let bert = Person { id: crate::store::RecordId(ulid::Ulid::generate()), ..ann(&[90.0]) };
    let nearer = |originals: &[f32], degrees| {
        let people = [ann(originals), bert.clone()];
        is_nearer_to_another(&people[0], &people, &face(MODEL, degrees), METRIC)
    };
    assert!(!nearer(&[0.0], 44.0) && nearer(&[0.0], 46.0));
    // What was added by itself brings nobody nearer.
    let mut with_added = ann(&[0.0]);
    let added = Template::new(face(MODEL, 50.0), 0.9, day(1));
    with_added.templates.push(Template { is_refreshed: true, ..added });
    assert!(is_nearer_to_another(&with_added, &[with_added.clone(), bert], &face(MODEL, 50.0), METRIC));
}

#[test]
fn a_gallery_that_cannot_be_written_is_told_once() {
    let mut desk = Desk::new();
    std::fs::rename(desk.folder.path().join("enrolled"), desk.folder.path().join("gone")).unwrap();
    let message = desk.keep("Ann", -20.0, 0.9).unwrap_err();
    assert!(message.contains("could not be added") && !message.contains("Ann"), "{message}");
    desk.wait(HOURS);
    assert_eq!(desk.keep("Ann", -20.0, 0.9), Ok(false), "said before");
    assert_eq!(desk.clock.now(), Moment(HOURS));
    std::fs::rename(desk.folder.path().join("gone"), desk.folder.path().join("enrolled")).unwrap();
    desk.wait(HOURS);
    assert_eq!(desk.keep("Ann", -20.0, 0.9), Ok(true));
}
