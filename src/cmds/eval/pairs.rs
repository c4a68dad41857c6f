//! The scores of a list of pairs.

use super::super::exit::{Exit, Failure, OrExit};
use super::dataset::PairList;
use crate::config::Metric;
use crate::domain::Embedding;
use crate::matching::error_rates::{Genuine, Impostor, Scores, bin_of};
use crate::matching::statistics::{ScoredPair, cross_validate, deal_in_turn};

/// Folds of the customary evaluation, for lists that have none of their own.
const FOLDS: usize = 10;

/// What came of a list.
pub(crate) struct ListScores {
    /// All scores.
    pub(crate) scores: Scores,
    /// How many people there are; `None` if that is not known, and every file counts as a person of its own.
    pub(crate) people: Option<usize>,
    /// Mean and deviation of the accuracy over the folds; NaN if there are too few pairs.
    pub(crate) accuracy: (f64, f64),
    /// Each pair's similarity, minus infinity where a picture has no face, and whether it is one person.
    pub(crate) pairs: Vec<ScoredPair>,
}

/// Compares the two faces of each pair. `faces` are those of the list's files, in order.
pub(crate) fn score(
    list: &PairList,
    faces: &[Option<Embedding>],
    metric: Metric,
) -> Result<ListScores, Failure> {
    let known = list.people();
    let people = known.as_ref().map(|people| people.iter().max().map_or(0, |last| last + 1));
    let person_of = |file: usize| known.as_ref().map_or(file, |people| people[file]);
    let index = |file: usize| u32::try_from(person_of(file)).or_exit(Exit::Data);
    let (mut pairs, mut genuine, mut impostors) = (Vec::new(), Vec::new(), Vec::new());
    for pair in &list.pairs {
        let similarity = match (&faces[pair.a], &faces[pair.b]) {
            (Some(a), Some(b)) => Some(similarity(a, b, metric)?),
            _ => None,
        };
        pairs.push((similarity.unwrap_or(f32::NEG_INFINITY), pair.is_same));
        let bin = similarity.map(bin_of);
        let (a, b) = (index(pair.a)?, index(pair.b)?);
        match bin {
            bin if pair.is_same => genuine.push(Genuine { bin, person: a }),
            Some(bin) => impostors.push(Impostor { bin, a, b }),
            None => {}
        }
    }
    let folds = list.folds.clone().unwrap_or_else(|| deal_in_turn(&pairs, FOLDS));
    let accuracy = cross_validate(&pairs, &folds);
    let scores = Scores::of_list(people.unwrap_or(list.files.len()), genuine, impostors);
    Ok(ListScores { scores, people, accuracy, pairs })
}

/// As the gallery has it: the cosine, or `1 - distance² / 2` cut at -1.
pub(crate) fn similarity(a: &Embedding, b: &Embedding, metric: Metric) -> Result<f32, Failure> {
    Ok(match metric {
        Metric::Cosine => a.cosine(b).or_exit(Exit::Internal)?.value(),
        Metric::Euclidean => (1.0 - a.euclidean(b).or_exit(Exit::Internal)?.powi(2) / 2.0).max(-1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmds::eval::dataset::parse;
    use crate::domain::ModelDigest;

    #[test]
    fn a_pair_without_a_face_is_different_and_not_recognised() {
        let list = parse("file_a,file_b,same\nA/1,A/2,1\nA/1,A/3,1\nA/1,B/1,0\nB/1,A/3,0\n").unwrap();
        let face = |values: [f32; 2]| Some(Embedding::new(ModelDigest([1; 32]), values.to_vec()).unwrap());
        let faces = [face([1.0, 0.0]), face([1.0, 0.1]), None, face([0.0, 1.0])];
        let scored = score(&list, &faces, Metric::Cosine).unwrap();
        assert_eq!(scored.people, Some(2));
        assert_eq!(scored.pairs[1], (f32::NEG_INFINITY, true));
        assert_eq!(scored.scores.genuine[1].bin, None);
        assert_eq!(scored.scores.impostor_pairs(), 1);
        let exact = scored.scores.exact();
        assert_eq!(exact.at(usize::from(bin_of(0.5))), (0.0, 0.5));
        assert!(
            (similarity(faces[0].as_ref().unwrap(), faces[3].as_ref().unwrap(), Metric::Euclidean).unwrap())
                .abs()
                < 1e-6
        );
    }
}
