//! The enrolled people in memory, and who among them a face resembles.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::standing::Standings;
use crate::domain::{Candidate, Embedding, EmbeddingError, GroupId, ModelDigest, PersonId, Similarity};

/// What the embedder was trained for, which says how likeness is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GalleryMetric {
    /// Similarity is the cosine.
    Cosine,
    /// Similarity is `1 - distance² / 2`, cut at -1: for unit vectors the same as the cosine.
    Euclidean,
}

/// One template of one person.
#[derive(Debug, Clone)]
pub struct GalleryEntry {
    /// Whose.
    pub person: PersonId,
    /// The template.
    pub template: Embedding,
}

/// All templates of one model, ready to be searched.
#[derive(Debug, Clone)]
pub struct Gallery {
    model: ModelDigest,
    metric: GalleryMetric,
    dimension: usize,
    people: Vec<PersonId>,
    /// Row after row; of length 1 where the metric is cosine.
    rows: Arc<[f32]>,
    /// For each row, an index into `people`.
    owners: Vec<usize>,
    skipped: usize,
    /// Of those who belong to any.
    groups: BTreeMap<PersonId, Vec<GroupId>>,
    standings: Standings,
}

/// The two most alike people.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ranking {
    /// The most alike; `None` when nobody is enrolled.
    pub best: Option<Candidate>,
    /// The most alike other person; `None` when fewer than two are enrolled.
    pub second: Option<Candidate>,
}

impl Gallery {
    /// Takes all templates that `model` made with `dimension` numbers; the others cannot be compared with it and are
    /// only counted, see [`Gallery::skipped`].
    #[must_use]
    pub fn new(
        model: ModelDigest,
        metric: GalleryMetric,
        dimension: usize,
        entries: &[GalleryEntry],
    ) -> Self {
        let usable =
            |e: &&GalleryEntry| e.template.model() == model && e.template.values().len() == dimension;
        let mut people: Vec<PersonId> = entries.iter().filter(usable).map(|e| e.person.clone()).collect();
        people.sort();
        people.dedup();
        let (mut rows, mut owners) = (Vec::new(), Vec::new());
        for entry in entries.iter().filter(usable) {
            let Ok(owner) = people.binary_search(&entry.person) else { continue };
            owners.push(owner);
            let length = match metric {
                GalleryMetric::Cosine => norm(entry.template.values()),
                GalleryMetric::Euclidean => 1.0,
            };
            rows.extend(entry.template.values().iter().map(|v| v / length));
        }
        let skipped = entries.len() - owners.len();
        Self {
            model,
            metric,
            dimension,
            people,
            rows: rows.into(),
            owners,
            skipped,
            groups: BTreeMap::new(),
            standings: Standings::default(),
        }
    }

    /// The same with the groups of its people.
    #[must_use]
    pub fn with_groups(mut self, groups: impl IntoIterator<Item = (PersonId, Vec<GroupId>)>) -> Self {
        self.groups = groups.into_iter().filter(|(_, groups)| !groups.is_empty()).collect();
        self
    }

    /// The groups that somebody belongs to.
    #[must_use]
    pub fn groups_of(&self, person: &PersonId) -> &[GroupId] {
        self.groups.get(person).map_or(&[], Vec::as_slice)
    }

    /// The same with what is known of its people beside that.
    #[must_use]
    pub fn with_standings(mut self, standings: Standings) -> Self {
        self.standings = standings;
        self
    }

    /// What is known of its people beside that: who may be let in when.
    #[must_use]
    pub fn standings(&self) -> &Standings {
        &self.standings
    }

    /// How many people can be recognised.
    #[must_use]
    pub fn people(&self) -> usize {
        self.people.len()
    }

    /// How many templates are searched.
    #[must_use]
    pub fn templates(&self) -> usize {
        self.owners.len()
    }

    /// How many templates were made by another model and are not searched.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Identifies who is enrolled with which templates, and who may be let in when: a SHA-256, the same as long as the
    /// same people are searched, however often they were loaded. Nothing can be read from it.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.model.0);
        for (row, owner) in self.rows.chunks_exact(self.dimension.max(1)).zip(&self.owners) {
            let name = self.people.get(*owner).map_or("", PersonId::as_str);
            digest.update((name.len() as u64).to_le_bytes());
            digest.update(name);
            row.iter().for_each(|value| digest.update(value.to_le_bytes()));
        }
        self.standings.digest_into(&mut digest);
        digest.finalize().into()
    }

    /// Finds the two most alike people. A person is as alike as the best of their templates; several templates
    /// count once.
    ///
    /// # Errors
    /// If the probe was made by another model.
    pub fn rank(&self, probe: &Embedding) -> Result<Ranking, EmbeddingError> {
        if probe.model() != self.model {
            return Err(EmbeddingError::OtherModel(probe.model(), self.model));
        }
        if probe.values().len() != self.dimension {
            return Err(EmbeddingError::OtherLength(probe.values().len(), self.dimension));
        }
        let mut best: Option<(usize, f32)> = None;
        let mut second: Option<(usize, f32)> = None;
        let length = norm(probe.values());
        for (row, &owner) in self.rows.chunks_exact(self.dimension).zip(&self.owners) {
            let score = match self.metric {
                GalleryMetric::Cosine => dot(row, probe.values()) / length,
                GalleryMetric::Euclidean => (1.0 - squared_distance(row, probe.values()) / 2.0).max(-1.0),
            };
            match best {
                Some((who, top)) if who == owner => best = Some((who, top.max(score))),
                Some((_, top)) if score > top => {
                    second = best;
                    best = Some((owner, score));
                }
                Some(_) if second.is_none_or(|(who, s)| who == owner || score > s) => {
                    let previous = second.filter(|(who, _)| *who == owner).map_or(f32::MIN, |(_, s)| s);
                    second = Some((owner, score.max(previous)));
                }
                Some(_) => {}
                None => best = Some((owner, score)),
            }
        }
        let candidate = |found: Option<(usize, f32)>| {
            let (owner, score) = found?;
            let similarity = Similarity::new(score).ok()?;
            Some(Candidate { person: self.people.get(owner)?.clone(), similarity })
        };
        Ok(Ranking { best: candidate(best), second: candidate(second) })
    }
}

fn norm(values: &[f32]) -> f32 {
    dot(values, values).sqrt()
}

/// Sixteen running sums, so that the compiler can use vector registers without reordering a single sum.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum_of(a, b, |x, y| x * y)
}

fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    sum_of(a, b, |x, y| (x - y) * (x - y))
}

fn sum_of(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(&x, &y)| term(x, y)).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += term(x[lane], y[lane]);
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODEL: ModelDigest = ModelDigest([1; 32]);

    fn entry(name: &str, values: &[f32]) -> GalleryEntry {
        GalleryEntry {
            person: PersonId::new(name).unwrap(),
            template: Embedding::new(MODEL, values.to_vec()).unwrap(),
        }
    }

    fn vector() -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(-1.0_f32..1.0, 20)
            .prop_filter("a direction", |v| v.iter().map(|x| x * x).sum::<f32>() > 0.01)
    }

    proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(
            templates in prop::collection::vec((0_usize..6, vector()), 0..30), probe in vector(), euclidean: bool,
        ) {
            let entries: Vec<_> = templates.iter().map(|(who, v)| entry(&format!("p{who}"), v)).collect();
            let metric = if euclidean { GalleryMetric::Euclidean } else { GalleryMetric::Cosine };
            let gallery = Gallery::new(MODEL, metric, 20, &entries);
            let probe = Embedding::new(MODEL, probe).unwrap();
            let mut by_person: std::collections::BTreeMap<PersonId, f32> = Default::default();
            for e in &entries {
                let score = if euclidean {
                    (1.0 - probe.euclidean(&e.template).unwrap().powi(2) / 2.0).max(-1.0)
                } else {
                    probe.cosine(&e.template).unwrap().value()
                };
                let best = by_person.entry(e.person.clone()).or_insert(-2.0);
                *best = best.max(score);
            }
            let mut expected: Vec<f32> = by_person.values().copied().collect();
            expected.sort_by(|a, b| b.total_cmp(a));
            let found = gallery.rank(&probe).unwrap();
            prop_assert_eq!(found.best.is_some(), !expected.is_empty());
            prop_assert_eq!(found.second.is_some(), expected.len() > 1);
            for (candidate, score) in [&found.best, &found.second].into_iter().flatten().zip(expected) {
                prop_assert!((candidate.similarity.value() - score).abs() < 1e-4);
                prop_assert!((by_person[&candidate.person] - score).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn templates_of_another_model_are_counted_and_not_searched() {
        let mut other = entry("eve", &[1.0, 0.0]);
        other.template = Embedding::new(ModelDigest([2; 32]), vec![1.0, 0.0]).unwrap();
        let gallery =
            Gallery::new(MODEL, GalleryMetric::Cosine, 2, &[other.clone(), entry("ann", &[0.0, 1.0])]);
        assert_eq!((gallery.people(), gallery.templates(), gallery.skipped()), (1, 1, 1));
        assert!(gallery.rank(&other.template).is_err());
    }

    #[test]
    fn nobody_enrolled_is_nobody_found() {
        let gallery = Gallery::new(MODEL, GalleryMetric::Cosine, 2, &[]);
        let probe = Embedding::new(MODEL, vec![1.0, 0.0]).unwrap();
        assert_eq!(gallery.rank(&probe).unwrap(), Ranking::default());
    }

    #[test]
    fn the_digest_tells_people_and_templates_apart() {
        let gallery = |entries: &[GalleryEntry]| Gallery::new(MODEL, GalleryMetric::Cosine, 2, entries);
        let ann = gallery(&[entry("Ann", &[1.0, 0.0])]).digest();
        assert_eq!(ann, gallery(&[entry("Ann", &[2.0, 0.0])]).digest(), "rows are of length 1");
        for other in [
            gallery(&[]),
            gallery(&[entry("Anna", &[1.0, 0.0])]),
            gallery(&[entry("Ann", &[0.0, 1.0])]),
            gallery(&[entry("Ann", &[1.0, 0.0]), entry("Ann", &[1.0, 0.0])]),
            gallery(&[entry("Ann", &[1.0, 0.0]), entry("Bert", &[1.0, 0.0])]),
        ] {
            assert_ne!(ann, other.digest());
        }
    }
}
