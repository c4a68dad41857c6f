//! Who gets which: the cheapest one-to-one assignment.

/// Stands in for "not allowed" inside the solver. Far above any sum of real costs (at most 128 of them, each
/// below 1e4), and small enough that a double still resolves a millionth beside it.
const FORBIDDEN: f64 = 1e7;

/// The greatest absolute cost a caller may pass; larger ones count as forbidden.
pub(super) const MAX_COST: f64 = 1e4;

/// Assigns rows to columns one to one: as many allowed pairs as possible, and among those the cheapest sum.
///
/// `cost(row, column)` is `None` where the pair is not allowed; a cost that is not finite or above
/// [`MAX_COST`] is not allowed either. Returns each row's column. O(n² m) with n the smaller side.
///
/// This is the shortest augmenting path method with dual prices (Jonker and Volgenant 1987), one row at a time.
pub(super) fn assign(
    rows: usize,
    columns: usize,
    cost: &dyn Fn(usize, usize) -> Option<f64>,
) -> Vec<Option<usize>> {
    if rows > columns {
        let mut by_row = vec![None; rows];
        for (column, row) in assign(columns, rows, &|column, row| cost(row, column)).into_iter().enumerate() {
            if let Some(row) = row {
                by_row[row] = Some(column);
            }
        }
        return by_row;
    }
    let allowed = |row, column| cost(row, column).filter(|cost| cost.abs() <= MAX_COST);
    let matrix: Vec<Vec<f64>> = (0..rows)
        .map(|row| (0..columns).map(|column| allowed(row, column).unwrap_or(FORBIDDEN)).collect())
        .collect();

    let mut row_price = vec![0.0; rows];
    let mut column_price = vec![0.0; columns];
    let mut row_of = vec![None; columns];
    for start in 0..rows {
        augment(start, &matrix, &mut row_price, &mut column_price, &mut row_of);
    }

    let mut by_row = vec![None; rows];
    for (column, row) in row_of.into_iter().enumerate() {
        if let Some(row) = row
            && matrix[row][column] < FORBIDDEN
        {
            by_row[row] = Some(column);
        }
    }
    by_row
}

/// Finds a column for the row `start` by the cheapest chain of reassignments, and adjusts the prices so that
/// every assigned pair stays tight.
fn augment(
    start: usize,
    matrix: &[Vec<f64>],
    row_price: &mut [f64],
    column_price: &mut [f64],
    row_of: &mut [Option<usize>],
) {
    let columns = column_price.len();
    let mut slack = vec![f64::INFINITY; columns];
    let mut came_from: Vec<Option<usize>> = vec![None; columns];
    let mut reached = vec![false; columns];
    let (mut row, mut at_column) = (start, None);
    let free = loop {
        let mut cheapest: Option<usize> = None;
        for column in (0..columns).filter(|&column| !reached[column]) {
            let reduced = matrix[row][column] - row_price[row] - column_price[column];
            if reduced < slack[column] {
                slack[column] = reduced;
                came_from[column] = at_column;
            }
            if cheapest.is_none_or(|best| slack[column] < slack[best]) {
                cheapest = Some(column);
            }
        }
        // There are at least as many columns as rows, so one is always left.
        let Some(next) = cheapest else { return };
        let delta = slack[next];
        row_price[start] += delta;
        for column in 0..columns {
            if reached[column] {
                column_price[column] -= delta;
                if let Some(owner) = row_of[column] {
                    row_price[owner] += delta;
                }
            } else {
                slack[column] -= delta;
            }
        }
        reached[next] = true;
        match row_of[next] {
            Some(owner) => (row, at_column) = (owner, Some(next)),
            None => break next,
        }
    };
    let mut column = free;
    while let Some(previous) = came_from[column] {
        row_of[column] = row_of[previous];
        column = previous;
    }
    row_of[column] = Some(start);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The most allowed pairs, then the least sum, by trying everything.
    fn brute_force(matrix: &[Vec<Option<f64>>], row: usize, taken: &mut Vec<bool>) -> (usize, f64) {
        if row == matrix.len() {
            return (0, 0.0);
        }
        let mut best = brute_force(matrix, row + 1, taken);
        for column in 0..taken.len() {
            let Some(cost) = matrix[row][column] else { continue };
            if taken[column] {
                continue;
            }
            taken[column] = true;
            let (pairs, sum) = brute_force(matrix, row + 1, taken);
            taken[column] = false;
            let candidate = (pairs + 1, sum + cost);
            if candidate.0 > best.0 || (candidate.0 == best.0 && candidate.1 < best.1) {
                best = candidate;
            }
        }
        best
    }

    fn matrices() -> impl Strategy<Value = (usize, Vec<Vec<Option<f64>>>)> {
        (0_usize..=6, 0_usize..=6).prop_flat_map(|(rows, columns)| {
            let cell =
                prop_oneof![3 => (-50.0..50.0_f64).prop_map(Some), 1 => Just(None), 1 => Just(Some(1.0))];
            (Just(columns), prop::collection::vec(prop::collection::vec(cell, columns), rows))
        })
    }

    proptest! {
        #[test]
        fn as_good_as_trying_everything((columns, matrix) in matrices()) {
            let assigned = assign(matrix.len(), columns, &|row, column| matrix[row][column]);
            let mut taken = vec![false; columns];
            let (mut pairs, mut sum) = (0, 0.0);
            for (row, column) in assigned.iter().enumerate() {
                if let Some(column) = *column {
                    prop_assert!(!taken[column], "column {column} given away twice");
                    taken[column] = true;
                    pairs += 1;
                    sum += matrix[row][column].expect("only allowed pairs are assigned");
                }
            }
            let best = brute_force(&matrix, 0, &mut vec![false; columns]);
            prop_assert_eq!(pairs, best.0);
            prop_assert!((sum - best.1).abs() < 1e-5, "{} instead of {}", sum, best.1);
        }
    }

    #[test]
    fn costs_that_are_no_numbers_are_not_allowed() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 2.0 * MAX_COST] {
            assert_eq!(assign(1, 2, &|_, column| Some(if column == 0 { bad } else { 5.0 })), [Some(1)]);
            assert_eq!(assign(1, 1, &|_, _| Some(bad)), [None]);
        }
    }

    #[test]
    fn the_largest_problem_is_solved() {
        // Row r is cheapest at column r: the identity is optimal.
        let assigned = assign(64, 128, &|row, column| {
            Some(f64::from(u32::try_from(row.abs_diff(column)).expect("small")))
        });
        assert!(assigned.iter().enumerate().all(|(row, column)| *column == Some(row)));
    }
}
