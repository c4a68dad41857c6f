use proptest::prelude::*;

use super::{Kernel, OFFSET};

/// Some rows and a probe, of lengths that fill registers and of those that leave a rest.
fn matrix() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    let length = prop_oneof![1_usize..140, Just(128), Just(512)];
    (length, 0_usize..11).prop_flat_map(|(length, rows)| {
        let number = || -1.0_f32..1.0;
        (prop::collection::vec(number(), length * rows), prop::collection::vec(number(), length))
    })
}

/// As [`matrix`], with the extremes often.
fn small_matrix() -> impl Strategy<Value = (Vec<u8>, Vec<i8>)> {
    let length = prop_oneof![1_usize..140, Just(128), Just(512)];
    (length, 0_usize..11).prop_flat_map(|(length, rows)| {
        let number = prop_oneof![1_u8..=255, Just(1), Just(255)];
        let probed = prop_oneof![-127_i8..=127, Just(-127), Just(127)];
        (prop::collection::vec(number, length * rows), prop::collection::vec(probed, length))
    })
}

type Sums = fn(&Kernel, &[f32], &[f32], &mut [f32]);

proptest! {
    #[test]
    fn sums_are_right_within_rounding((rows, probe) in matrix()) {
        let count = rows.len() / probe.len();
        let term: [fn(f64, f64) -> f64; 2] = [|x, y| x * y, |x, y| (x - y) * (x - y)];
        let sums: [Sums; 2] = [Kernel::products, Kernel::squared_distances];
        for (term, sums) in term.into_iter().zip(sums) {
            let mut portable = vec![f32::NAN; count];
            sums(&super::portable::KERNEL, &rows, &probe, &mut portable);
            for kernel in Kernel::available() {
                let mut found = vec![f32::NAN; count];
                sums(&kernel, &rows, &probe, &mut found);
                for ((row, found), portable) in rows.chunks(probe.len()).zip(found).zip(&portable) {
                    let terms = || row.iter().zip(&probe).map(|(&x, &y)| term(f64::from(x), f64::from(y)));
                    let (exact, extent) = (terms().sum::<f64>(), terms().map(f64::abs).sum::<f64>());
                    // What the search takes for granted: a unit of rounding for each number, and a few.
                    let allowed = extent * (probe.len() + 3) as f64 * f64::from(f32::EPSILON) / 2.0 + 1e-30;
                    let name = kernel.name();
                    prop_assert!((f64::from(found) - exact).abs() <= allowed, "{name}: {found}, not {exact}");
                    prop_assert!(f64::from(found - portable).abs() <= 2.0 * allowed, "{name}: {found}, {portable}");
                }
            }
        }
    }

    #[test]
    fn small_sums_are_exact((rows, probe) in small_matrix()) {
        let count = rows.len() / probe.len();
        for kernel in Kernel::available() {
            let mut found = vec![i32::MIN; count];
            kernel.small_products(&rows, &probe, &mut found);
            for (row, found) in rows.chunks(probe.len()).zip(found) {
                let exact: i64 = row.iter().zip(&probe).map(|(&x, &y)| i64::from(x) * i64::from(y)).sum();
                prop_assert_eq!(i64::from(found), exact, "{}", kernel.name());
            }
        }
    }

    #[test]
    fn the_sum_of_a_row_is_the_same_wherever_it_stands((rows, probe) in matrix()) {
        for kernel in Kernel::available() {
            for sums in [Kernel::products as Sums, Kernel::squared_distances] {
                let mut together = vec![f32::NAN; rows.len() / probe.len()];
                sums(&kernel, &rows, &probe, &mut together);
                for (row, expected) in rows.chunks(probe.len()).zip(together) {
                    let mut alone = [f32::NAN];
                    sums(&kernel, row, &probe, &mut alone);
                    prop_assert_eq!(alone[0].to_bits(), expected.to_bits(), "{}", kernel.name());
                }
            }
        }
    }
}

#[test]
fn the_longest_small_rows_do_not_overflow() {
    let (row, probe) = (vec![u8::MAX; 65_536], vec![i8::MAX; 65_536]);
    for kernel in Kernel::available() {
        let mut sum = [0];
        kernel.small_products(&row, &probe, &mut sum);
        assert_eq!(i64::from(sum[0]), 255 * 127 * 65_536, "{}", kernel.name());
    }
    assert_eq!(OFFSET, 128);
}

#[test]
fn the_portable_kernel_is_there_and_last() {
    let names: Vec<_> = Kernel::available().iter().map(Kernel::name).collect();
    assert_eq!(names.last(), Some(&"portable"));
    assert_eq!(super::kernel(), names[0]);
}

#[test]
#[should_panic(expected = "5 numbers are not 2 rows of 3")]
fn shapes_that_do_not_fit_are_refused() {
    super::portable::KERNEL.products(&[0.0; 5], &[0.0; 3], &mut [0.0; 2]);
}
