//! Groups of faces: who is on these pictures, without knowing anybody.

use crate::domain::{Embedding, EmbeddingError};

use super::metric::{Metric, distance};

/// The most faces that are grouped in one go: the table of distances takes `4 n²` bytes, 400 MB at this number.
pub const MAX_CLUSTERED: usize = 10_000;

/// Why faces could not be grouped.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClusterError {
    /// Too many.
    #[error("{0} faces are too many to group at once: at most {MAX_CLUSTERED}")]
    TooMany(usize),
    /// Not comparable.
    #[error(transparent)]
    Embedding(#[from] EmbeddingError),
}

/// Gives every face the number of its group, 0 for the group of the first face and so on. Groups are joined while
/// the mean distance between their members is at or below `threshold` (average linkage, always the nearest two
/// first), so one chance likeness does not join two people as it would with single links.
///
/// # Errors
/// If there are more than [`MAX_CLUSTERED`] faces, or two were made by different models.
pub fn cluster(faces: &[Embedding], metric: Metric, threshold: f32) -> Result<Vec<usize>, ClusterError> {
    let count = faces.len();
    if count > MAX_CLUSTERED {
        return Err(ClusterError::TooMany(count));
    }
    let mut table = vec![0.0_f32; count * count];
    for i in 0..count {
        for j in i + 1..count {
            let d = distance(metric, &faces[i], &faces[j])?;
            table[i * count + j] = d;
            table[j * count + i] = d;
        }
    }
    let mut groups: Vec<Option<Vec<usize>>> = (0..count).map(|i| Some(vec![i])).collect();
    // Nearest-neighbour chain: follow nearest neighbours until two are each other's nearest, and join those. For
    // average linkage this builds the same tree as always joining the nearest two of all, in O(n²).
    let mut chain: Vec<usize> = Vec::new();
    let mut finished = vec![false; count];
    while let Some(start) = (0..count).find(|&i| groups[i].is_some() && !finished[i]) {
        chain.clear();
        chain.push(start);
        while let Some(&end) = chain.last() {
            let previous = chain.len().checked_sub(2).map(|at| chain[at]);
            let nearest = (0..count)
                .filter(|&other| other != end && groups[other].is_some())
                .map(|other| (table[end * count + other], Some(other) != previous, other))
                .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
            match nearest {
                Some((d, _, other)) if Some(other) == previous => {
                    if d > threshold {
                        // The nearest two of the chain are too far apart, so every member's nearest is; and with
                        // average linkage, joining others never brings anything nearer. All are finished.
                        chain.iter().for_each(|&member| finished[member] = true);
                        break;
                    }
                    join(&mut table, &mut groups, count, other, end);
                    chain.clear();
                    break;
                }
                Some((_, _, other)) => chain.push(other),
                None => {
                    finished[end] = true;
                    break;
                }
            }
        }
    }
    let mut label = vec![usize::MAX; count];
    let mut next = 0;
    for face in 0..count {
        if label[face] != usize::MAX {
            continue;
        }
        for &member in groups.iter().flatten().find(|g| g.contains(&face)).into_iter().flatten() {
            label[member] = next;
        }
        next += 1;
    }
    Ok(label)
}

#[expect(clippy::cast_precision_loss, reason = "group sizes are at most MAX_CLUSTERED")]
fn join(table: &mut [f32], groups: &mut [Option<Vec<usize>>], count: usize, keep: usize, gone: usize) {
    let (Some(a), Some(b)) = (groups[keep].take(), groups[gone].take()) else { return };
    let (na, nb) = (a.len() as f32, b.len() as f32);
    for other in 0..count {
        let mean = (na * table[keep * count + other] + nb * table[gone * count + other]) / (na + nb);
        table[keep * count + other] = mean;
        table[other * count + keep] = mean;
    }
    groups[keep] = Some([a, b].concat());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ModelDigest;

    fn at_angle(degrees: f32) -> Embedding {
        let r = degrees.to_radians();
        Embedding::new(ModelDigest([0; 32]), vec![r.cos(), r.sin()]).unwrap()
    }

    /// The same by the textbook: always join the two nearest groups.
    fn plain(faces: &[Embedding], threshold: f32) -> Vec<usize> {
        let mut groups: Vec<Vec<usize>> = (0..faces.len()).map(|i| vec![i]).collect();
        loop {
            let mut nearest = (f32::MAX, 0, 0);
            for i in 0..groups.len() {
                for j in i + 1..groups.len() {
                    let pairs = groups[i].iter().flat_map(|a| groups[j].iter().map(move |b| (*a, *b)));
                    let sum: f32 =
                        pairs.map(|(a, b)| distance(Metric::Angular, &faces[a], &faces[b]).unwrap()).sum();
                    let mean = sum / (groups[i].len() * groups[j].len()) as f32;
                    if mean < nearest.0 {
                        nearest = (mean, i, j);
                    }
                }
            }
            if nearest.0 > threshold {
                break;
            }
            let gone = groups.remove(nearest.2);
            groups[nearest.1].extend(gone);
        }
        groups.sort_by_key(|g| g.iter().min().copied());
        (0..faces.len()).map(|f| groups.iter().position(|g| g.contains(&f)).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn equals_the_textbook(angles in prop::collection::vec(0.0_f32..180.0, 0..14), threshold in 0.01_f32..0.6) {
            let faces: Vec<_> = angles.iter().map(|&a| at_angle(a)).collect();
            prop_assert_eq!(cluster(&faces, Metric::Angular, threshold).unwrap(), plain(&faces, threshold));
        }
    }

    #[test]
    fn two_people_and_one_alone() {
        let faces = [at_angle(0.0), at_angle(90.0), at_angle(5.0), at_angle(92.0), at_angle(180.0)];
        assert_eq!(cluster(&faces, Metric::Cosine, 0.1).unwrap(), [0, 1, 0, 1, 2]);
        assert_eq!(cluster(&[], Metric::Cosine, 0.1).unwrap(), Vec::<usize>::new());
    }
}
