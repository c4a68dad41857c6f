//! "Did you mean ...?"

/// The candidate that `typed` is most likely a misspelling of, if any is close: at most a third of its
/// letters wrong, left out, added or swapped with the next.
pub(super) fn closest<'a>(typed: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let typed = plain(typed);
    candidates
        .iter()
        .map(|candidate| (distance(&typed, &plain(candidate)), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?" or, where nothing is close, "one of a, b, c".
pub(super) fn help(typed: &str, what: &str, candidates: &[&str]) -> String {
    match closest(typed, candidates) {
        Some(candidate) => format!("did you mean `{candidate}`? {what}: {}", candidates.join(", ")),
        None => format!("{what}: {}", candidates.join(", ")),
    }
}

/// Edits between two texts, a swap of neighbours counting as one (optimal string alignment). Texts beyond 64
/// characters are no typing mistakes and count as wholly different.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(65).collect(), b.chars().take(65).collect());
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_misspellings_are_found_and_far_ones_are_not() {
        let keys = ["min_margin", "min_looks", "window_ms", "cooldown_ms"];
        for (typed, meant) in [
            ("min_margn", Some("min_margin")),
            ("mni_margin", Some("min_margin")),
            ("min-margin", Some("min_margin")),
            ("WINDOW_MS", Some("window_ms")),
            ("cooldown", Some("cooldown_ms")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(closest(typed, &keys), meant, "{typed}");
        }
    }
}
