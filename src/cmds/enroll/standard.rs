//! By what it is judged whether pictures may be enrolled, and which of them become templates. Pure.

use ulid::Ulid;

use super::choose::{Candidate, Fate, SAME_LOOK, SAME_PHOTO, choose};
use super::likeness::{self, Conflict, Findings, Rule};
use super::picture::Portrait;
use crate::clock::WallTime;
use crate::config;
use crate::domain::{Calibration, Embedding, EmbeddingError, Particulars, PersonId};
use crate::inference::OrtEmbedder;
use crate::matching::GalleryMetric;
use crate::store::{Look, MAX_SOURCE_BYTES, Person, RecordId, Template};
use crate::vision::pose::pose;

/// So many templates of one model a person has at most, unless asked otherwise.
pub const MOST: u8 = 10;

/// What pictures are judged by.
#[derive(Debug, Clone)]
pub struct Standard {
    spec: config::EmbedderSpec,
    calibration: Option<Calibration>,
    most: usize,
    /// Nearer than this to a better one, a picture adds nothing.
    least_difference: f32,
}

/// What became of new pictures.
#[derive(Debug, Default)]
pub struct Judged {
    /// What the comparison found.
    pub findings: Findings,
    /// What becomes of each picture, if nothing speaks against it.
    pub fates: Vec<Fate>,
}

impl Standard {
    /// What this embedder's photos are judged by, with at most so many templates a person.
    #[must_use]
    pub fn of(embedder: &OrtEmbedder, most: u8) -> Self {
        Self {
            spec: embedder.spec().clone(),
            calibration: embedder.calibration().cloned(),
            most: most.into(),
            least_difference: SAME_PHOTO,
        }
    }

    /// The same for frames of a camera, which differ less.
    #[must_use]
    pub fn for_frames(self) -> Self {
        Self { least_difference: SAME_LOOK, ..self }
    }

    /// What counts as one person with these people enrolled, when somebody of that name is to be.
    #[must_use]
    pub fn rule(&self, name: &PersonId, people: &[Person]) -> Rule {
        let others = people.iter().filter(|person| person.name != *name).count();
        Rule::new(&self.spec, self.calibration.as_ref(), others)
    }

    /// Whether a face may be taken for more of somebody enrolled: it is like what was enrolled of them, no copy of it, and
    /// like nobody else.
    ///
    /// # Errors
    /// If a template of the gallery is damaged.
    pub fn vouches(
        &self,
        name: &PersonId,
        face: &Embedding,
        people: &[Person],
    ) -> Result<bool, EmbeddingError> {
        let found = likeness::check(name, &[("", face)], people, self.rule(name, people))?;
        Ok(found.conflicts.is_empty() && found.repeats.iter().all(Option::is_none))
    }

    /// How likeness is measured in a gallery.
    #[must_use]
    pub fn metric(&self) -> GalleryMetric {
        match self.spec.metric {
            config::Metric::Cosine => GalleryMetric::Cosine,
            config::Metric::Euclidean => GalleryMetric::Euclidean,
        }
    }

    /// One without a model, for trials: cosine, and two faces are one person up to this distance.
    #[cfg(test)]
    pub(in crate::cmds) fn scripted(threshold: f32) -> Self {
        let spec = config::EmbedderSpec {
            output: String::new(),
            dimension: 2,
            l2_normalise: true,
            metric: config::Metric::Cosine,
            alignment: [[0.0; 2]; 5],
            threshold,
        };
        Self { spec, calibration: None, most: MOST.into(), least_difference: SAME_LOOK }
    }

    /// Whether what was taken shows one person, the right one, and nobody who is enrolled under another name; and
    /// which of it is worth a template.
    ///
    /// # Errors
    /// If a template of the gallery is damaged.
    pub fn judge(
        &self,
        name: &PersonId,
        portraits: &[Portrait],
        people: &[Person],
    ) -> Result<Judged, EmbeddingError> {
        let Some(model) = portraits.first().map(|p| p.embedding.model()) else {
            return Ok(Judged::default());
        };
        let new: Vec<_> = portraits.iter().map(|p| (p.source.as_str(), &p.embedding)).collect();
        let findings = likeness::check(name, &new, people, self.rule(name, people))?;
        let own = people.iter().filter(|person| person.name == *name).flat_map(|person| &person.templates);
        let own = own.filter(|template| template.embedding.model() == model && !template.is_refreshed);
        let enrolled: Vec<_> =
            own.map(|template| (likeness::name_of(template), &template.embedding)).collect();
        let candidates: Vec<_> = portraits.iter().map(candidate).collect();
        let fates = choose(&enrolled, &candidates, &findings.repeats, (self.least_difference, self.most))?;
        Ok(Judged { findings, fates })
    }
}

impl Judged {
    /// What is written of what was taken.
    pub fn kept<'p>(&self, portraits: &'p [Portrait]) -> impl Iterator<Item = &'p Portrait> {
        portraits
            .iter()
            .zip(&self.fates)
            .filter(|(_, fate)| **fate == Fate::Kept)
            .map(|(portrait, _)| portrait)
    }

    /// What speaks against enrolling it.
    #[must_use]
    pub fn conflicts(&self) -> &[Conflict] {
        &self.findings.conflicts
    }
}

fn candidate(portrait: &Portrait) -> Candidate<'_> {
    let Portrait { source, embedding, quality, .. } = portrait;
    Candidate { source, embedding, quality: quality.score }
}

/// Somebody without templates, who is in no gallery: for trials.
#[must_use]
pub fn nobody_yet(name: &PersonId, now: WallTime) -> Person {
    Person {
        id: RecordId(Ulid::nil()),
        name: name.clone(),
        groups: Vec::new(),
        particulars: Particulars::default(),
        created: now,
        changed: now,
        templates: Vec::new(),
    }
}

/// What a gallery keeps of a picture.
#[must_use]
pub fn template(portrait: &Portrait, now: WallTime) -> Template {
    let Portrait { quality, detection, .. } = portrait;
    Template {
        source: Some(short(&portrait.note())),
        // Without a pose there is nothing to say how the face was seen.
        look: pose(&detection.landmarks_in_frame).map(|pose| Look {
            yaw_deg: pose.yaw,
            pitch_deg: pose.pitch,
            luma: quality.luma,
            sharpness: quality.sharpness,
            face_px: quality.width_px,
        }),
        ..Template::new(portrait.embedding.clone(), quality.score, now)
    }
}

/// What a gallery file keeps of a source's name.
fn short(source: &str) -> String {
    let mut end = source.len().min(MAX_SOURCE_BYTES);
    while !source.is_char_boundary(end) {
        end -= 1;
    }
    source[..end].to_owned()
}
