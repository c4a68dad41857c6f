//! Long straight lines in a small grey picture.

/// A line that is within about 20 degrees of upright, in pixels of the picture it was found in: `x = at + slope *
/// (y - middle)` for `y` from `first` to `last`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Upright {
    pub(super) at: f32,
    pub(super) slope: f32,
    pub(super) middle: f32,
    pub(super) first: f32,
    pub(super) last: f32,
    /// Whether it gets brighter to the right.
    pub(super) brightens: bool,
}

/// A picture of one value a pixel, row by row.
pub(super) struct Grey {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) values: Vec<u8>,
}

impl Grey {
    /// Rows become columns.
    pub(super) fn transposed(&self) -> Self {
        let mut values = Vec::with_capacity(self.values.len());
        for x in 0..self.width {
            values.extend(self.values.iter().skip(x).step_by(self.width));
        }
        Self { width: self.height, height: self.width, values }
    }
}

/// Change of luma a pixel from which on a place is an edge: an edge between areas that differ by about 16.
const MIN_CHANGE: i32 = 8;
/// Slopes are tried in these steps, so that the end of a line as long as a face is off by one pixel at most...
const SLOPE_STEP: f32 = 0.034;
/// ... from -`SLOPES` to `SLOPES` steps: 20 degrees.
const SLOPES: i32 = 11;
/// How far the direction of a single edge pixel may be from the line's, as a slope: 17 degrees.
const MAX_OFF: f32 = 0.3;
/// Rows without an edge within a line.
const MAX_GAP: usize = 3;
/// The share of a line's rows that have an edge.
const MIN_FILLED: f32 = 0.8;
/// The most lines that are found, and the most places that are tried.
const MAX_LINES: usize = 16;
const MAX_TRIED: usize = 96;

/// Where luma changes most along each row: 0, or the sign of the change.
struct Edges {
    width: usize,
    signs: Vec<i8>,
    /// Places of the edges, and the slope of the line that each alone speaks for.
    places: Vec<(usize, usize, f32)>,
}

#[expect(clippy::cast_precision_loss, reason = "changes of luma are below 2^11")]
fn edges(grey: &Grey) -> Edges {
    let (width, height) = (grey.width, grey.height);
    let mut found = Edges { width, signs: vec![0; width * height], places: Vec::new() };
    let mut across = vec![0_i32; width];
    let mut along = vec![0_i32; width];
    for y in 1..height.saturating_sub(1) {
        let row = |y: usize| &grey.values[y * width..(y + 1) * width];
        let (above, here, below) = (row(y - 1), row(y), row(y + 1));
        // Sobel's two filters, times 8.
        for x in 1..width.saturating_sub(1) {
            let v = |row: &[u8], x: usize| i32::from(row[x]);
            across[x] =
                v(above, x + 1) - v(above, x - 1) + 2 * (v(here, x + 1) - v(here, x - 1)) + v(below, x + 1)
                    - v(below, x - 1);
            along[x] = v(below, x - 1) - v(above, x - 1) + 2 * (v(below, x) - v(above, x)) + v(below, x + 1)
                - v(above, x + 1);
        }
        for x in 2..width.saturating_sub(2) {
            let change = across[x].abs();
            if change < 8 * MIN_CHANGE || change < across[x - 1].abs() || change <= across[x + 1].abs() {
                continue;
            }
            let slope = -along[x] as f32 / across[x] as f32;
            if slope.abs() <= SLOPES as f32 * SLOPE_STEP + MAX_OFF {
                found.signs[y * width + x] = if across[x] > 0 { 1 } else { -1 };
                found.places.push((x, y, slope));
            }
        }
    }
    found
}

/// The lines of at least `min_length` rows, the most certain first.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "sides of some hundred pixels; places are checked against the sides before they become indices"
)]
pub(super) fn uprights(grey: &Grey, min_length: f32) -> Vec<Upright> {
    let mut edges = edges(grey);
    let middle = grey.height as f32 / 2.0;
    // Lines may begin and end beside the picture where they cross its middle row inside.
    let columns = grey.width;
    let slopes = (2 * SLOPES + 1) as usize;
    let mut votes = vec![0_u16; 2 * slopes * columns];
    let bin = |sign: usize, slope: usize, column: usize| (sign * slopes + slope) * columns + column;
    for &(x, y, own) in &edges.places {
        let sign = usize::from(edges.signs[y * edges.width + x] > 0);
        for slope in 0..slopes {
            let value = (slope as i32 - SLOPES) as f32 * SLOPE_STEP;
            let column = x as f32 - value * (y as f32 - middle);
            if (value - own).abs() <= MAX_OFF && column >= 0.0 && column < columns as f32 - 0.5 {
                votes[bin(sign, slope, (column + 0.5) as usize)] += 1;
            }
        }
    }
    // An edge between two columns gives its votes to both: half of a line in one of them is enough to try it.
    let enough = (0.45 * min_length) as u16;
    let mut tried: Vec<(u16, usize)> = votes
        .iter()
        .enumerate()
        .filter(|(_, votes)| **votes >= enough)
        .map(|(at, votes)| (*votes, at))
        .collect();
    tried.sort_unstable_by(|a, b| b.cmp(a));
    let mut lines = Vec::new();
    for (_, at) in tried.into_iter().take(MAX_TRIED) {
        let (rest, column) = (at / columns, at % columns);
        let slope = ((rest % slopes) as i32 - SLOPES) as f32 * SLOPE_STEP;
        let sign: i8 = if rest / slopes == 1 { 1 } else { -1 };
        let place = |y: usize| {
            let x = column as f32 + slope * (y as f32 - middle);
            (x >= 1.0 && x < edges.width as f32 - 2.0).then_some((x + 0.5) as usize)
        };
        let has_edge = |y: usize| {
            place(y).is_some_and(|x| edges.signs[y * edges.width..][x - 1..=x + 1].contains(&sign))
        };
        let Some((first, last)) = longest_run((0..grey.height).map(has_edge)) else { continue };
        if ((last - first + 1) as f32) < min_length {
            continue;
        }
        lines.push(Upright {
            at: column as f32,
            slope,
            middle,
            first: first as f32,
            last: last as f32,
            brightens: sign > 0,
        });
        if lines.len() == MAX_LINES {
            break;
        }
        // What this line explains is no evidence for another.
        let used: Vec<usize> = (first..=last)
            .filter_map(|y| place(y).map(|x| (x.saturating_sub(2)..(x + 3).min(edges.width), y)))
            .flat_map(|(xs, y)| xs.map(move |x| (x, y)))
            .map(|(x, y)| y * edges.width + x)
            .collect();
        used.into_iter().for_each(|at| edges.signs[at] = 0);
    }
    lines
}

/// The longest stretch in which no more than [`MAX_GAP`] in a row are missing, first and last included, if enough of it
/// is there.
#[expect(clippy::cast_precision_loss, reason = "rows of a small picture")]
fn longest_run(there: impl Iterator<Item = bool>) -> Option<(usize, usize)> {
    let mut best: Option<(usize, usize, usize)> = None;
    let mut run: Option<(usize, usize, usize)> = None;
    for (at, _) in there.enumerate().filter(|(_, there)| *there) {
        run = match run {
            Some((first, last, count)) if at - last <= MAX_GAP + 1 => Some((first, at, count + 1)),
            _ => Some((at, at, 1)),
        };
        let length = |run: Option<(usize, usize, usize)>| run.map_or(0, |(first, last, _)| last - first + 1);
        if length(run) > length(best) {
            best = run;
        }
    }
    let (first, last, count) = best?;
    (count as f32 >= MIN_FILLED * (last - first + 1) as f32).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Grey, with a darker area to the right of a line, and a circle.
    fn picture(slope: f32, last: usize) -> Grey {
        let (width, height) = (140_u16, 180_u16);
        let values = (0..height).flat_map(|y| {
            (0..width).map(move |x| {
                let right = f32::from(x) > 100.0 + slope * (f32::from(y) - 90.0) && usize::from(y) < last;
                let circle = (f32::from(x) - 40.0).hypot(f32::from(y) - 90.0) < 32.0;
                if right || circle { 60 } else { 140 }
            })
        });
        Grey { width: usize::from(width), height: usize::from(height), values: values.collect() }
    }

    #[test]
    fn a_line_is_found_and_a_circle_is_not() {
        for slope in [-0.33, -0.1, 0.0, 0.05, 0.2, 0.35] {
            let lines = uprights(&picture(slope, 180), 60.0);
            assert_eq!(lines.len(), 1, "{slope}: {lines:?}");
            let line = lines[0];
            assert!((line.slope - slope).abs() < 0.04 && (line.at - 100.5).abs() < 2.0, "{slope}: {line:?}");
            assert!(!line.brightens && line.last - line.first > 100.0, "{slope}: {line:?}");
        }
    }

    #[test]
    fn short_lines_and_steep_ones_are_not_found() {
        assert_eq!(uprights(&picture(0.0, 50), 60.0), []);
        assert_eq!(uprights(&picture(1.0, 180), 60.0), []);
        assert_eq!(uprights(&picture(0.1, 180).transposed(), 60.0), []);
        let flat = Grey { width: 140, height: 180, values: vec![90; 140 * 180] };
        assert_eq!(uprights(&flat, 60.0), []);
        let tiny = Grey { width: 2, height: 2, values: vec![9; 4] };
        assert_eq!(uprights(&tiny, 60.0), []);
    }

    #[test]
    fn runs_have_small_gaps_only() {
        let run = |text: &str| longest_run(text.chars().map(|c| c == '#'));
        assert_eq!(run("..####..########.##..."), Some((2, 18)));
        assert_eq!(run("####.....######"), Some((9, 14)));
        assert_eq!(run("#..#..#..#"), None);
        assert_eq!(run("...."), None);
    }
}
