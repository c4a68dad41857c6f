//! Plain loops, for machines without a kernel of their own, and to hold the others against.

use super::Kernel;

pub(super) const KERNEL: Kernel = Kernel {
    name: "portable",
    products: |rows, probe, sums| each(rows, probe, sums, |row| sum_of(row, probe, |x, y| x * y)),
    squared_distances: |rows, probe, sums| {
        each(rows, probe, sums, |row| sum_of(row, probe, |x, y| (x - y) * (x - y)));
    },
    small_products: |rows, probe, sums| {
        each(rows, probe, sums, |row| {
            row.iter().zip(probe).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum()
        });
    },
};

fn each<R, P, S>(rows: &[R], probe: &[P], sums: &mut [S], sum: impl Fn(&[R]) -> S) {
    for (row, room) in rows.chunks_exact(probe.len()).zip(sums) {
        *room = sum(row);
    }
}

/// The sum of what `term` makes of each pair, the same on every machine. In sixteen running sums, so that the compiler
/// can use vector registers without reordering a single one.
pub(in crate::matching) fn sum_of<B: Copy>(a: &[f32], b: &[B], term: impl Fn(f32, B) -> f32) -> f32 {
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
