//! Whether new pictures show one person, the right one, and nobody who is enrolled under another name. Pure.

use super::mark::FileMark;
use crate::config;
use crate::domain::{Calibration, Embedding, EmbeddingError, PersonId};
use crate::matching::{Metric, convert_threshold, distance};
use crate::store::{Person, Template};

/// Of people who are not enrolled, at most this share is to be taken for somebody who is, and has to be looked at by
/// a person. It decides only where so many are enrolled that the model's own threshold would mean more than that.
///
/// So many, because the two mistakes weigh unequally: a false refusal costs whoever enrols a look at two faces; one
/// person under two names gets in under the second when the first is taken from the gallery.
pub const FALSE_REFUSALS: f64 = 0.1;

/// From this distance down two embeddings come from one picture (saved twice, or copied): what is left is rounding.
const SAME_PICTURE: f32 = 1e-5;

/// Up to which distance two faces are one person.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// How distances are measured: as the model was trained.
    pub metric: Metric,
    /// The largest distance (inclusive) of two pictures of one person.
    pub threshold: f32,
    /// The largest distance (inclusive) at which a picture is taken for somebody enrolled under another name.
    pub duplicate: f32,
}

impl Rule {
    /// For a model, with so many other people enrolled. With few of them, [`Rule::duplicate`] is the model's own
    /// threshold; with more, and where the model was calibrated, what keeps to [`FALSE_REFUSALS`].
    #[must_use]
    pub fn new(spec: &config::EmbedderSpec, calibration: Option<&Calibration>, others: usize) -> Self {
        let metric = match spec.metric {
            config::Metric::Cosine => Metric::Cosine,
            config::Metric::Euclidean => Metric::Euclidean,
        };
        let duplicate = calibration.and_then(|curve| duplicate_distance(curve, FALSE_REFUSALS, others));
        let duplicate =
            duplicate.and_then(|far| convert_threshold(far, Metric::Cosine, metric, spec.l2_normalise));
        let duplicate = duplicate.map_or(spec.threshold, |far| far.min(spec.threshold));
        Self { metric, threshold: spec.threshold, duplicate }
    }

    fn is_same(self, distance: f32) -> bool {
        distance <= self.threshold
    }
}

/// The largest cosine distance at which no more than this share of new people is taken for one of so many who are
/// enrolled: the rate of one comparison is that share over their number (the union bound). `None` if no distance is
/// small enough.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a number of people")]
pub fn duplicate_distance(curve: &Calibration, false_refusals: f64, others: usize) -> Option<f32> {
    let threshold = curve.threshold_for(false_refusals / others.max(1) as f64)?;
    Some(1.0 - threshold.value())
}

/// What speaks against enrolling a picture.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Conflict {
    /// Not the person on the others.
    #[error(
        "{source_name} does not look like the other pictures of {person}: distance {distance:.2}, at most {threshold:.2} is one person"
    )]
    Unlike {
        /// Which picture.
        source_name: String,
        /// Who it is to be.
        person: PersonId,
        /// To the most alike of the others.
        distance: f32,
        /// The largest distance of one person.
        threshold: f32,
    },
    /// Somebody who is enrolled under another name.
    #[error(
        "{source_name} looks like {other}, who is enrolled already: distance {distance:.2}, up to {threshold:.2} is taken for the same person"
    )]
    SomebodyElse {
        /// Which picture.
        source_name: String,
        /// Who is enrolled.
        other: PersonId,
        /// To their most alike template.
        distance: f32,
        /// The largest distance at which it is taken for them.
        threshold: f32,
    },
}

impl Conflict {
    /// Which picture.
    #[must_use]
    pub fn source_name(&self) -> &str {
        match self {
            Self::Unlike { source_name, .. } | Self::SomebodyElse { source_name, .. } => source_name,
        }
    }

    /// Who is enrolled already, if that is the matter.
    #[must_use]
    pub fn other(&self) -> Option<&PersonId> {
        match self {
            Self::Unlike { .. } => None,
            Self::SomebodyElse { other, .. } => Some(other),
        }
    }

    /// How far apart the two are.
    #[must_use]
    pub fn distance(&self) -> f32 {
        match self {
            Self::Unlike { distance, .. } | Self::SomebodyElse { distance, .. } => *distance,
        }
    }
}

/// What the comparison found.
#[derive(Debug, Default)]
pub struct Findings {
    /// For each new picture, what it is a copy of: an enrolled picture or an earlier new one.
    pub repeats: Vec<Option<String>>,
    /// What speaks against it: first the pictures that are unlike the others, then those of somebody else, for each
    /// picture the most alike first.
    pub conflicts: Vec<Conflict>,
    /// Templates of the person that another model made, which cannot be compared.
    pub other_models: usize,
}

/// Compares new pictures (their names and embeddings) with each other, with what is enrolled of `name`, and with
/// everybody else.
///
/// # Errors
/// If two embeddings of one model differ in length: one is damaged.
pub(super) fn check(
    name: &PersonId,
    new: &[(&str, &Embedding)],
    people: &[Person],
    rule: Rule,
) -> Result<Findings, EmbeddingError> {
    let Some(model) = new.first().map(|(_, e)| e.model()) else { return Ok(Findings::default()) };
    let own = people.iter().filter(|p| p.name == *name).flat_map(|p| &p.templates);
    // What was added by itself vouches for nothing further.
    let own: Vec<_> = own.filter(|template| !template.is_refreshed).collect();
    let comparable: Vec<_> = own.iter().filter(|t| t.embedding.model() == model).collect();
    let mut findings = Findings { other_models: own.len() - comparable.len(), ..Findings::default() };

    // All that is to be one person: first the enrolled, then the new.
    let enrolled = comparable.iter().map(|t| (name_of(t), &t.embedding));
    let all: Vec<(&str, &Embedding)> = enrolled.chain(new.iter().copied()).collect();
    let first_new = comparable.len();
    let mut table = vec![vec![0.0_f32; all.len()]; all.len()];
    for i in 0..all.len() {
        for j in 0..i {
            table[i][j] = distance(rule.metric, all[i].1, all[j].1)?;
            table[j][i] = table[i][j];
        }
    }
    findings.repeats = (first_new..all.len())
        .map(|i| (0..i).find(|&j| table[i][j] <= SAME_PICTURE).map(|j| all[j].0.to_owned()))
        .collect();

    let group = core_group(&table, first_new, rule);
    for i in (first_new..all.len()).filter(|i| !group.contains(i)) {
        let nearest = group.iter().map(|&j| table[i][j]).fold(f32::INFINITY, f32::min);
        findings.conflicts.push(Conflict::Unlike {
            source_name: all[i].0.to_owned(),
            person: name.clone(),
            distance: nearest,
            threshold: rule.threshold,
        });
    }
    for (source, embedding) in new {
        let first = findings.conflicts.len();
        for person in people.iter().filter(|p| p.name != *name) {
            let mut nearest = f32::INFINITY;
            for template in person.templates.iter().filter(|t| t.embedding.model() == model) {
                nearest = nearest.min(distance(rule.metric, embedding, &template.embedding)?);
            }
            if nearest <= rule.duplicate {
                findings.conflicts.push(Conflict::SomebodyElse {
                    source_name: (*source).to_owned(),
                    other: person.name.clone(),
                    distance: nearest,
                    threshold: rule.duplicate,
                });
            }
        }
        findings.conflicts[first..].sort_by(|a, b| a.distance().total_cmp(&b.distance()));
    }
    Ok(findings)
}

/// What an enrolled picture is called, for people.
pub(super) fn name_of(template: &Template) -> &str {
    template.source.as_deref().map_or("an enrolled picture", |source| FileMark::split(source).0)
}

/// Those that belong together by steps of one person's distance: from the enrolled ones if there are any, else the
/// largest such group of the new ones, the earliest of equals.
fn core_group(table: &[Vec<f32>], enrolled: usize, rule: Rule) -> Vec<usize> {
    let grow = |mut group: Vec<usize>| {
        let mut at = 0;
        while at < group.len() {
            let from = group[at];
            let next: Vec<usize> =
                (0..table.len()).filter(|j| !group.contains(j) && rule.is_same(table[from][*j])).collect();
            group.extend(next);
            at += 1;
        }
        group
    };
    if enrolled > 0 {
        return grow((0..enrolled).collect());
    }
    let groups = (0..table.len()).map(|i| grow(vec![i]));
    groups.rev().max_by_key(Vec::len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::cmds::enroll::nobody_yet;
    use crate::domain::{ModelDigest, Tail};

    const RULE: Rule = Rule { metric: Metric::Cosine, threshold: 0.3, duplicate: 0.3 };

    /// A direction in the plane, in degrees.
    fn face(degrees: f32) -> Embedding {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Embedding::new(ModelDigest([1; 32]), vec![cos, sin]).unwrap()
    }

    fn person(name: &str, faces: &[f32]) -> Person {
        let at = WallTime(jiff::Timestamp::UNIX_EPOCH);
        let template =
            |d: &f32| Template { source: Some(format!("old{d}")), ..Template::new(face(*d), 0.5, at) };
        let mut person = nobody_yet(&PersonId::new(name).unwrap(), at);
        person.templates.extend(faces.iter().map(template));
        person
    }

    fn check_angles(new: &[f32], people: &[Person]) -> (Vec<Option<String>>, Vec<String>) {
        let faces: Vec<_> = new.iter().map(|d| (format!("{d}.jpg"), face(*d))).collect();
        let new: Vec<_> = faces.iter().map(|(name, e)| (name.as_str(), e)).collect();
        let found = check(&PersonId::new("Ann").unwrap(), &new, people, RULE).unwrap();
        let who = |c: &Conflict| match c {
            Conflict::Unlike { source_name, .. } => format!("{source_name} unlike"),
            Conflict::SomebodyElse { source_name, other, .. } => format!("{source_name} is {other}"),
        };
        (found.repeats, found.conflicts.iter().map(who).collect())
    }

    #[test]
    fn pictures_of_one_person_are_taken() {
        assert_eq!(check_angles(&[0.0, 30.0, 60.0], &[]).1, [""; 0]);
        assert_eq!(check_angles(&[20.0], &[person("Ann", &[0.0]), person("Bob", &[180.0])]).1, [""; 0]);
    }

    #[test]
    fn the_odd_one_out_is_named() {
        assert_eq!(check_angles(&[120.0, 0.0, 10.0], &[]).1, ["120.jpg unlike"]);
        assert_eq!(
            check_angles(&[120.0, 130.0], &[person("Ann", &[0.0])]).1,
            ["120.jpg unlike", "130.jpg unlike"]
        );
        assert_eq!(check_angles(&[0.0, 90.0], &[]).1, ["90.jpg unlike"]);
    }

    #[test]
    fn somebody_else_is_named() {
        let people = [person("Ann", &[0.0]), person("Bob", &[60.0]), person("Cyd", &[170.0])];
        assert_eq!(check_angles(&[5.0, 30.0], &people).1, ["30.jpg is Bob"]);
    }

    #[test]
    fn with_more_people_a_picture_must_be_more_alike_to_be_somebody_else() {
        let curve = Calibration {
            data: String::new(),
            date: String::new(),
            detector: String::new(),
            images: 0,
            people: 0,
            genuine_pairs: 0,
            impostor_pairs: 0,
            false_match: [[0.0, 0.1, 0.1, 0.1], [0.5, 1e-4, 1e-4, 1e-4]].map(Into::into).to_vec(),
            tail: Tail { decades_per_unit: 6.0, at_least: 6.0 },
            false_non_match: Vec::new(),
        };
        let spec = config::EmbedderSpec {
            output: "y".into(),
            dimension: 2,
            l2_normalise: true,
            metric: config::Metric::Cosine,
            alignment: [[0.0; 2]; 5],
            threshold: 0.6,
        };
        let rule = |others| Rule::new(&spec, Some(&curve), others);
        // One in ten over 1,000 people is the rate at a similarity of 0.5.
        assert!((rule(1000).duplicate - 0.5).abs() < 1e-3, "{:?}", rule(1000));
        assert!(rule(100_000).duplicate < 0.3);
        assert_eq!(rule(0), Rule { metric: Metric::Cosine, threshold: 0.6, duplicate: 0.6 }, "never looser");
        assert_eq!(rule(1000).threshold, 0.6, "for a person's own pictures nothing changes");
        assert_eq!(Rule::new(&spec, None, 1000).duplicate, 0.6);
    }

    #[test]
    fn of_several_people_the_most_alike_is_named_first() {
        let people = [person("Bob", &[50.0]), person("Cyd", &[10.0]), person("Dan", &[170.0])];
        assert_eq!(check_angles(&[20.0], &people).1, ["20.jpg is Cyd", "20.jpg is Bob"]);
    }

    #[test]
    fn a_picture_given_twice_is_noticed() {
        let (repeats, conflicts) = check_angles(&[5.0, 9.0, 5.0], &[person("Ann", &[9.0])]);
        assert_eq!(repeats, [None, Some("old9".to_owned()), Some("5.jpg".to_owned())]);
        assert_eq!(conflicts, [""; 0]);
    }

    #[test]
    fn templates_of_another_model_are_counted_and_not_compared() {
        let mut ann = person("Ann", &[0.0]);
        ann.templates[0].embedding = Embedding::new(ModelDigest([2; 32]), vec![1.0; 7]).unwrap();
        let (name, new) = (ann.name.clone(), face(90.0));
        let found = check(&name, &[("a", &new)], &[ann], RULE).unwrap();
        assert_eq!((found.other_models, found.conflicts.len()), (1, 0));
    }
}
