//! Which of a person's pictures are worth a template: those that differ, the good ones first. Pure.
//!
//! What is enrolled stays: nothing that somebody chose to enrol goes because of a later picture.

use crate::domain::{Embedding, EmbeddingError};
use crate::matching::{Metric, distance};

/// Two frames of a camera nearer than this (cosine distance) are one look, and the better of them is enough.
/// Neighbouring frames of somebody who stands still are well below it, a turned head or another expression above.
pub(super) const SAME_LOOK: f32 = 0.02;

/// Two photos nearer than this are one photo, saved in another size or compressed again: 19 of 20 such copies are nearer
/// than 0.054, and of 240 pairs of photos taken separately of one person none is nearer than 0.084
/// (`facewarden bench --only duplicates`, docs/enrolment.md).
pub(super) const SAME_PHOTO: f32 = 0.06;

/// A new picture to choose from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    /// Its name.
    pub(super) source: &'a str,
    pub(super) embedding: &'a Embedding,
    /// How good it is, 0..=1.
    pub(super) quality: f32,
}

/// What becomes of a picture that nothing speaks against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It becomes a template.
    Kept,
    /// It is the very picture of that name, enrolled or among the new ones.
    Repeated(String),
    /// It is so much like the picture of that name that it would add nothing.
    Alike(String),
    /// There are enough that differ more.
    Enough,
}

impl Fate {
    /// A word for programs; `None` if it is kept.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Kept => None,
            Self::Repeated(_) => Some("repeated"),
            Self::Alike(_) => Some("alike"),
            Self::Enough => Some("enough"),
        }
    }
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kept => f.write_str("taken"),
            Self::Repeated(of) => write!(f, "the same picture as {of}, not added again"),
            Self::Alike(to) => write!(f, "too much like {to} to add anything"),
            Self::Enough => f.write_str("not needed: there are enough that differ more"),
        }
    }
}

/// Chooses among the new pictures so that a person has at most `most` templates of this model, with those enrolled
/// already. `repeats` says of each new one what it is a copy of. What is nearer than `least` (cosine distance) to a
/// better one adds nothing.
///
/// Near-repeats go first, the worse of two. Of what is left, when it is too many, one after the other is taken whose
/// distance to the nearest one taken, times its quality, is largest (farthest-point selection); where nothing is
/// enrolled it begins with the best picture.
///
/// # Errors
/// If two embeddings cannot be compared.
pub(super) fn choose(
    enrolled: &[(&str, &Embedding)],
    new: &[Candidate<'_>],
    repeats: &[Option<String>],
    (least, most): (f32, usize),
) -> Result<Vec<Fate>, EmbeddingError> {
    let mut fates = vec![Fate::Enough; new.len()];
    let mut by_quality: Vec<usize> = (0..new.len()).collect();
    by_quality.sort_by(|&a, &b| new[b].quality.total_cmp(&new[a].quality));
    // For each that differs, how far the nearest of those taken is.
    let mut differing: Vec<(usize, f32)> = Vec::new();
    for at in by_quality {
        if let Some(Some(of)) = repeats.get(at) {
            fates[at] = Fate::Repeated(of.clone());
            continue;
        }
        let (mut to_enrolled, mut alike) = (f32::INFINITY, None);
        for (source, embedding) in enrolled {
            let far = distance(Metric::Cosine, embedding, new[at].embedding)?;
            to_enrolled = to_enrolled.min(far);
            alike = alike.or((far < least).then_some(*source));
        }
        for (better, _) in &differing {
            let far = distance(Metric::Cosine, new[*better].embedding, new[at].embedding)?;
            alike = alike.or((far < least).then_some(new[*better].source));
        }
        match alike {
            Some(to) => fates[at] = Fate::Alike(to.to_owned()),
            None => differing.push((at, to_enrolled)),
        }
    }
    let places = most.saturating_sub(enrolled.len());
    for _ in 0..places {
        // With nothing to be far from, the distance is infinite for all, and quality decides.
        let gain = |&(at, far): &(usize, f32)| new[at].quality * far.min(2.0);
        let next =
            (0..differing.len()).rev().max_by(|&a, &b| gain(&differing[a]).total_cmp(&gain(&differing[b])));
        let Some(next) = next else { break };
        let (taken, _) = differing.remove(next);
        fates[taken] = Fate::Kept;
        for (at, far) in &mut differing {
            *far = far.min(distance(Metric::Cosine, new[taken].embedding, new[*at].embedding)?);
        }
    }
    Ok(fates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ModelDigest;

    /// A direction in the plane, in degrees.
    fn face(degrees: f32) -> Embedding {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Embedding::new(ModelDigest([1; 32]), vec![cos, sin]).unwrap()
    }

    /// What becomes of pictures given as degree and quality: those that are kept, and the others with the reason.
    fn chosen(enrolled: &[f32], new: &[(f32, f32)], most: usize) -> Vec<String> {
        let enrolled: Vec<_> = enrolled.iter().map(|d| (format!("old{d}"), face(*d))).collect();
        let enrolled: Vec<_> = enrolled.iter().map(|(name, face)| (name.as_str(), face)).collect();
        let named: Vec<_> = new.iter().map(|(d, q)| (format!("{d}"), face(*d), *q)).collect();
        let new: Vec<_> = named
            .iter()
            .map(|(source, embedding, quality)| Candidate { source, embedding, quality: *quality })
            .collect();
        let fates = choose(&enrolled, &new, &vec![None; new.len()], (SAME_LOOK, most)).unwrap();
        let said = |(fate, new): (&Fate, &Candidate<'_>)| match fate {
            Fate::Kept => new.source.to_owned(),
            Fate::Alike(to) => format!("{} like {to}", new.source),
            other => format!("{} {}", new.source, other.code().unwrap()),
        };
        fates.iter().zip(&new).map(said).collect()
    }

    #[test]
    fn of_near_repeats_the_better_one_is_kept() {
        // cos 5° is 0.996, cos 15° is 0.966.
        assert_eq!(chosen(&[], &[(0.0, 0.4), (5.0, 0.6), (20.0, 0.2)], 10), ["0 like 5", "5", "20"]);
        assert_eq!(chosen(&[3.0], &[(0.0, 0.9), (40.0, 0.1)], 10), ["0 like old3", "40"]);
    }

    #[test]
    fn too_many_are_thinned_out_by_how_much_they_differ() {
        let spread = [(0.0, 0.9), (15.0, 0.8), (30.0, 0.8), (60.0, 0.7), (75.0, 0.8)];
        assert_eq!(chosen(&[], &spread, 2), ["0", "15 enough", "30 enough", "60 enough", "75"]);
        assert_eq!(chosen(&[], &spread, 3), ["0", "15 enough", "30", "60 enough", "75"]);
        assert_eq!(chosen(&[80.0], &spread, 2)[0], "0", "far from what is enrolled");
    }

    #[test]
    fn a_poor_picture_has_to_be_much_further_away() {
        assert_eq!(chosen(&[0.0], &[(25.0, 0.9), (40.0, 0.1)], 2), ["25", "40 enough"]);
        assert_eq!(chosen(&[0.0], &[(30.0, 0.2), (90.0, 0.1)], 2), ["30 enough", "90"]);
    }

    #[test]
    fn what_is_enrolled_stays_and_takes_a_place() {
        assert_eq!(chosen(&[0.0, 40.0], &[(80.0, 1.0)], 2), ["80 enough"]);
        assert_eq!(chosen(&[0.0, 40.0], &[(80.0, 1.0)], 3), ["80"]);
    }

    #[test]
    fn a_copy_is_told_from_a_near_repeat() {
        let copy = face(0.0);
        let new = [Candidate { source: "b.jpg", embedding: &copy, quality: 0.5 }];
        let fates = choose(&[("a.jpg", &copy)], &new, &[Some("a.jpg".to_owned())], (SAME_PHOTO, 10)).unwrap();
        assert_eq!(fates, [Fate::Repeated("a.jpg".to_owned())]);
        assert_eq!(fates[0].to_string(), "the same picture as a.jpg, not added again");
    }
}
