//! NEON, which every 64-bit ARM processor has.
//!
//! Four rows are summed at a time, so that the probe is loaded once for them; each row has two running sums of one
//! register each, so that an addition need not wait for the one before.
#![expect(unsafe_code, reason = "vector registers are loaded through pointers")]

use std::arch::aarch64::{
    float32x4_t, vaddq_f32, vaddq_s32, vaddvq_f32, vaddvq_s32, vdupq_n_f32, vdupq_n_s32, vdupq_n_u8,
    veorq_u8, vfmaq_f32, vget_low_s8, vld1q_f32, vld1q_s8, vld1q_u8, vmull_high_s8, vmull_s8, vpadalq_s16,
    vreinterpretq_s8_u8, vsubq_f32,
};
use std::arch::is_aarch64_feature_detected;

use super::{Kernel, OFFSET};

/// Rows summed at a time.
const ROWS: usize = 4;

/// The kernels that this processor can run.
pub(super) fn available() -> Vec<Kernel> {
    if is_aarch64_feature_detected!("neon") { vec![NEON] } else { Vec::new() }
}

// SAFETY, of the calls in the next item: `available` alone hands it out, and only where the processor has NEON.
const NEON: Kernel = Kernel {
    name: "neon",
    // SAFETY: see above.
    products: |rows, probe, sums| unsafe { neon::<false>(rows, probe, sums) },
    // SAFETY: see above.
    squared_distances: |rows, probe, sums| unsafe { neon::<true>(rows, probe, sums) },
    // SAFETY: see above.
    small_products: |rows, probe, sums| unsafe { small_neon(rows, probe, sums) },
};

#[target_feature(enable = "neon")]
fn neon<const SQUARED: bool>(rows: &[f32], probe: &[f32], sums: &mut [f32]) {
    let mut groups = rows.chunks_exact(ROWS * probe.len());
    let mut rooms = sums.chunks_exact_mut(ROWS);
    for (group, room) in groups.by_ref().zip(rooms.by_ref()) {
        room.copy_from_slice(&several::<ROWS, SQUARED>(group, probe));
    }
    for (row, room) in groups.remainder().chunks_exact(probe.len()).zip(rooms.into_remainder()) {
        [*room] = several::<1, SQUARED>(row, probe);
    }
}

/// The sums of `N` rows, which lie one after the other in `rows`.
#[inline]
#[target_feature(enable = "neon")]
fn several<const N: usize, const SQUARED: bool>(rows: &[f32], probe: &[f32]) -> [f32; N] {
    const LANES: usize = 4;
    let length = probe.len();
    assert_eq!(rows.len(), N * length);
    let mut sums = [[vdupq_n_f32(0.0); 2]; N];
    let add = |sum: float32x4_t, x: float32x4_t, y: float32x4_t| {
        if SQUARED {
            let apart = vsubq_f32(x, y);
            vfmaq_f32(sum, apart, apart)
        } else {
            vfmaq_f32(sum, x, y)
        }
    };
    let mut at = 0;
    while at + 2 * LANES <= length {
        // SAFETY: `at` and the 8 numbers from there on lie within the probe.
        let probed =
            unsafe { [vld1q_f32(probe.as_ptr().add(at)), vld1q_f32(probe.as_ptr().add(at + LANES))] };
        for (n, [even, odd]) in sums.iter_mut().enumerate() {
            // SAFETY: `n` is less than N, and `rows` has N rows as long as the probe.
            let row = unsafe { rows.as_ptr().add(n * length + at) };
            // SAFETY: as for the probe, within the row.
            let (x, y) = unsafe { (vld1q_f32(row), vld1q_f32(row.add(LANES))) };
            *even = add(*even, x, probed[0]);
            *odd = add(*odd, y, probed[1]);
        }
        at += 2 * LANES;
    }
    let mut all = [0.0; N];
    for (n, (room, [even, odd])) in all.iter_mut().zip(sums).enumerate() {
        let rest = rows[n * length + at..(n + 1) * length].iter().zip(&probe[at..]);
        let rest: f32 = rest.map(|(x, y)| if SQUARED { (x - y) * (x - y) } else { x * y }).sum();
        *room = vaddvq_f32(vaddq_f32(even, odd)) + rest;
    }
    all
}

#[target_feature(enable = "neon")]
fn small_neon(rows: &[u8], probe: &[i8], sums: &mut [i32]) {
    // Products of signed bytes: the offset is taken off here, and added again as the other kernels have it.
    let offset = i32::from(OFFSET) * probe.iter().map(|&y| i32::from(y)).sum::<i32>();
    let mut groups = rows.chunks_exact(ROWS * probe.len());
    let mut rooms = sums.chunks_exact_mut(ROWS);
    for (group, room) in groups.by_ref().zip(rooms.by_ref()) {
        room.copy_from_slice(&several_small::<ROWS>(group, probe, offset));
    }
    for (row, room) in groups.remainder().chunks_exact(probe.len()).zip(rooms.into_remainder()) {
        [*room] = several_small::<1>(row, probe, offset);
    }
}

/// The sums of `N` rows, which lie one after the other in `rows`, and `offset`.
#[inline]
#[target_feature(enable = "neon")]
fn several_small<const N: usize>(rows: &[u8], probe: &[i8], offset: i32) -> [i32; N] {
    const LANES: usize = 16;
    let length = probe.len();
    assert_eq!(rows.len(), N * length);
    let mut sums = [[vdupq_n_s32(0); 2]; N];
    let mut at = 0;
    while at + LANES <= length {
        // SAFETY: `at` and the 16 numbers from there on lie within the probe.
        let probed = unsafe { vld1q_s8(probe.as_ptr().add(at)) };
        for (n, [low, high]) in sums.iter_mut().enumerate() {
            // SAFETY: as for the probe; `n` is less than N, and `rows` has N rows as long as the probe.
            let row = unsafe { vld1q_u8(rows.as_ptr().add(n * length + at)) };
            // Flipping the topmost bit takes 128 off.
            let row = vreinterpretq_s8_u8(veorq_u8(row, vdupq_n_u8(OFFSET)));
            *low = vpadalq_s16(*low, vmull_s8(vget_low_s8(row), vget_low_s8(probed)));
            *high = vpadalq_s16(*high, vmull_high_s8(row, probed));
        }
        at += LANES;
    }
    let mut all = [0; N];
    for (n, (room, [low, high])) in all.iter_mut().zip(sums).enumerate() {
        let rest = rows[n * length + at..(n + 1) * length].iter().zip(&probe[at..]);
        let rest: i32 = rest.map(|(x, y)| (i32::from(*x) - i32::from(OFFSET)) * i32::from(*y)).sum();
        *room = vaddvq_s32(vaddq_s32(low, high)) + rest + offset;
    }
    all
}
