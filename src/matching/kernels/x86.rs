//! AVX-512 and AVX2.
//!
//! Four rows are summed at a time, so that the probe is loaded once for them; each row has two running sums of one
//! register each, so that an addition need not wait for the one before.
#![expect(unsafe_code, reason = "vector registers are loaded through pointers")]

use std::arch::x86_64::{
    __m256, __m256i, __m512, __m512i, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_loadu_si128,
    _mm_movehdup_ps, _mm_movehl_ps, _mm256_add_epi32, _mm256_add_ps, _mm256_castps256_ps128,
    _mm256_cvtepi8_epi16, _mm256_cvtepu8_epi16, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_madd_epi16, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_storeu_si256, _mm256_sub_ps,
    _mm512_add_epi32, _mm512_add_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_epi8,
    _mm512_loadu_ps, _mm512_maskz_loadu_epi8, _mm512_maskz_loadu_ps, _mm512_reduce_add_epi32,
    _mm512_reduce_add_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_sub_ps,
};

use super::Kernel;

/// Rows summed at a time.
const ROWS: usize = 4;

/// The kernels that this processor, and the system on it, can run.
pub(super) fn available() -> Vec<Kernel> {
    let mut found = Vec::new();
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        found.push(AVX2);
        if is_x86_feature_detected!("avx512f") {
            found.push(AVX512);
            if is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni") {
                found.push(AVX512_VNNI);
            }
        }
    }
    found.reverse();
    found
}

// SAFETY, of the calls in the next three items: `available` alone hands them out, and only where the processor has what
// they are named after.
const AVX2: Kernel = Kernel {
    name: "avx2",
    // SAFETY: see above.
    products: |rows, probe, sums| unsafe { avx2::<false>(rows, probe, sums) },
    // SAFETY: see above.
    squared_distances: |rows, probe, sums| unsafe { avx2::<true>(rows, probe, sums) },
    // SAFETY: see above.
    small_products: |rows, probe, sums| unsafe { small_avx2(rows, probe, sums) },
};

const AVX512: Kernel = Kernel {
    name: "avx512",
    // SAFETY: see above.
    products: |rows, probe, sums| unsafe { avx512::<false>(rows, probe, sums) },
    // SAFETY: see above.
    squared_distances: |rows, probe, sums| unsafe { avx512::<true>(rows, probe, sums) },
    ..AVX2
};

const AVX512_VNNI: Kernel = Kernel {
    name: "avx512-vnni",
    // SAFETY: see above.
    small_products: |rows, probe, sums| unsafe { small_avx512(rows, probe, sums) },
    ..AVX512
};

/// Calls `$several::<N>` for the rows of `$rows`, [`ROWS`] at a time and the rest one by one.
macro_rules! in_groups {
    ($rows:ident, $probe:ident, $sums:ident, $several:ident $(, $squared:ident)?) => {
        let mut groups = $rows.chunks_exact(ROWS * $probe.len());
        let mut rooms = $sums.chunks_exact_mut(ROWS);
        for (group, room) in groups.by_ref().zip(rooms.by_ref()) {
            room.copy_from_slice(&$several::<ROWS $(, $squared)?>(group, $probe));
        }
        for (row, room) in groups.remainder().chunks_exact($probe.len()).zip(rooms.into_remainder()) {
            [*room] = $several::<1 $(, $squared)?>(row, $probe);
        }
    };
}

#[target_feature(enable = "avx512f")]
fn avx512<const SQUARED: bool>(rows: &[f32], probe: &[f32], sums: &mut [f32]) {
    in_groups!(rows, probe, sums, several_avx512, SQUARED);
}

/// The sums of `N` rows, which lie one after the other in `rows`.
#[inline]
#[target_feature(enable = "avx512f")]
fn several_avx512<const N: usize, const SQUARED: bool>(rows: &[f32], probe: &[f32]) -> [f32; N] {
    const LANES: usize = 16;
    let length = probe.len();
    assert_eq!(rows.len(), N * length);
    let mut sums = [[_mm512_setzero_ps(); 2]; N];
    let add = |sum: __m512, x: __m512, y: __m512| {
        if SQUARED {
            let apart = _mm512_sub_ps(x, y);
            _mm512_fmadd_ps(apart, apart, sum)
        } else {
            _mm512_fmadd_ps(x, y, sum)
        }
    };
    let mut at = 0;
    while at + 2 * LANES <= length {
        // SAFETY: `at` and the 32 numbers from there on lie within the probe.
        let probed = unsafe {
            [_mm512_loadu_ps(probe.as_ptr().add(at)), _mm512_loadu_ps(probe.as_ptr().add(at + LANES))]
        };
        for (n, [even, odd]) in sums.iter_mut().enumerate() {
            // SAFETY: `n` is less than N, and `rows` has N rows as long as the probe.
            let row = unsafe { rows.as_ptr().add(n * length + at) };
            // SAFETY: as for the probe, within the row.
            let (x, y) = unsafe { (_mm512_loadu_ps(row), _mm512_loadu_ps(row.add(LANES))) };
            *even = add(*even, x, probed[0]);
            *odd = add(*odd, y, probed[1]);
        }
        at += 2 * LANES;
    }
    while at < length {
        let left = (length - at).min(LANES);
        let mask = u16::MAX >> (LANES - left);
        // SAFETY: the mask lets through what is left of the probe, at most one register; what it shuts out is not read.
        let probed = unsafe { _mm512_maskz_loadu_ps(mask, probe.as_ptr().add(at)) };
        for (n, [even, _]) in sums.iter_mut().enumerate() {
            // SAFETY: as for the probe; `n` is less than N, and `rows` has N rows as long as the probe.
            let x = unsafe { _mm512_maskz_loadu_ps(mask, rows.as_ptr().add(n * length + at)) };
            *even = add(*even, x, probed);
        }
        at += left;
    }
    let mut all = [0.0; N];
    for (room, [even, odd]) in all.iter_mut().zip(sums) {
        *room = _mm512_reduce_add_ps(_mm512_add_ps(even, odd));
    }
    all
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn small_avx512(rows: &[u8], probe: &[i8], sums: &mut [i32]) {
    in_groups!(rows, probe, sums, several_small_avx512);
}

/// The sums of `N` rows, which lie one after the other in `rows`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn several_small_avx512<const N: usize>(rows: &[u8], probe: &[i8]) -> [i32; N] {
    const LANES: usize = 64;
    let length = probe.len();
    assert_eq!(rows.len(), N * length);
    let mut sums = [[_mm512_setzero_si512(); 2]; N];
    let mut at = 0;
    while at + 2 * LANES <= length {
        // SAFETY: `at` and the 128 numbers from there on lie within the probe.
        let probed = unsafe {
            [_mm512_loadu_epi8(probe.as_ptr().add(at)), _mm512_loadu_epi8(probe.as_ptr().add(at + LANES))]
        };
        for (n, [even, odd]) in sums.iter_mut().enumerate() {
            // SAFETY: `n` is less than N, and `rows` has N rows as long as the probe.
            let row = unsafe { rows.as_ptr().add(n * length + at).cast::<i8>() };
            // SAFETY: as for the probe, within the row.
            let (x, y) = unsafe { (_mm512_loadu_epi8(row), _mm512_loadu_epi8(row.add(LANES))) };
            *even = _mm512_dpbusd_epi32(*even, x, probed[0]);
            *odd = _mm512_dpbusd_epi32(*odd, y, probed[1]);
        }
        at += 2 * LANES;
    }
    while at < length {
        let left = (length - at).min(LANES);
        let mask = u64::MAX >> (LANES - left);
        // SAFETY: the mask lets through what is left of the probe, at most one register; what it shuts out is not read.
        let probed = unsafe { _mm512_maskz_loadu_epi8(mask, probe.as_ptr().add(at)) };
        for (n, [even, _]) in sums.iter_mut().enumerate() {
            // SAFETY: as for the probe; `n` is less than N, and `rows` has N rows as long as the probe.
            let x = unsafe { _mm512_maskz_loadu_epi8(mask, rows.as_ptr().add(n * length + at).cast::<i8>()) };
            *even = _mm512_dpbusd_epi32(*even, x, probed);
        }
        at += left;
    }
    let mut all = [0; N];
    for (room, [even, odd]) in all.iter_mut().zip(sums) {
        let both: __m512i = _mm512_add_epi32(even, odd);
        *room = _mm512_reduce_add_epi32(both);
    }
    all
}

#[target_feature(enable = "avx2,fma")]
fn avx2<const SQUARED: bool>(rows: &[f32], probe: &[f32], sums: &mut [f32]) {
    in_groups!(rows, probe, sums, several_avx2, SQUARED);
}

/// The sums of `N` rows, which lie one after the other in `rows`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn several_avx2<const N: usize, const SQUARED: bool>(rows: &[f32], probe: &[f32]) -> [f32; N] {
    const LANES: usize = 8;
    let length = probe.len();
    assert_eq!(rows.len(), N * length);
    let mut sums = [[_mm256_setzero_ps(); 2]; N];
    let add = |sum: __m256, x: __m256, y: __m256| {
        if SQUARED {
            let apart = _mm256_sub_ps(x, y);
            _mm256_fmadd_ps(apart, apart, sum)
        } else {
            _mm256_fmadd_ps(x, y, sum)
        }
    };
    let mut at = 0;
    while at + 2 * LANES <= length {
        // SAFETY: `at` and the 16 numbers from there on lie within the probe.
        let probed = unsafe {
            [_mm256_loadu_ps(probe.as_ptr().add(at)), _mm256_loadu_ps(probe.as_ptr().add(at + LANES))]
        };
        for (n, [even, odd]) in sums.iter_mut().enumerate() {
            // SAFETY: `n` is less than N, and `rows` has N rows as long as the probe.
            let row = unsafe { rows.as_ptr().add(n * length + at) };
            // SAFETY: as for the probe, within the row.
            let (x, y) = unsafe { (_mm256_loadu_ps(row), _mm256_loadu_ps(row.add(LANES))) };
            *even = add(*even, x, probed[0]);
            *odd = add(*odd, y, probed[1]);
        }
        at += 2 * LANES;
    }
    let mut all = [0.0; N];
    for (n, (room, [even, odd])) in all.iter_mut().zip(sums).enumerate() {
        let rest = rows[n * length + at..(n + 1) * length].iter().zip(&probe[at..]);
        let rest: f32 = rest.map(|(x, y)| if SQUARED { (x - y) * (x - y) } else { x * y }).sum();
        *room = total_avx2(_mm256_add_ps(even, odd)) + rest;
    }
    all
}

/// The eight numbers of a register, added up.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn total_avx2(sums: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps::<1>(sums));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

#[target_feature(enable = "avx2,fma")]
fn small_avx2(rows: &[u8], probe: &[i8], sums: &mut [i32]) {
    in_groups!(rows, probe, sums, several_small_avx2);
}

/// The sums of `N` rows, which lie one after the other in `rows`. The numbers are widened to 16 bits: the one
/// instruction that multiplies bytes cuts its sums at 32,767, which two products of 255 and 127 exceed.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn several_small_avx2<const N: usize>(rows: &[u8], probe: &[i8]) -> [i32; N] {
    const LANES: usize = 16;
    let length = probe.len();
    assert_eq!(rows.len(), N * length);
    let mut sums = [_mm256_setzero_si256(); N];
    let mut at = 0;
    while at + LANES <= length {
        // SAFETY: `at` and the 16 numbers from there on lie within the probe.
        let probed = _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(probe.as_ptr().add(at).cast()) });
        for (n, sum) in sums.iter_mut().enumerate() {
            // SAFETY: as for the probe; `n` is less than N, and `rows` has N rows as long as the probe.
            let row = unsafe { _mm_loadu_si128(rows.as_ptr().add(n * length + at).cast()) };
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(_mm256_cvtepu8_epi16(row), probed));
        }
        at += LANES;
    }
    let mut all = [0; N];
    for (n, (room, sum)) in all.iter_mut().zip(sums).enumerate() {
        let rest = rows[n * length + at..(n + 1) * length].iter().zip(&probe[at..]);
        let rest: i32 = rest.map(|(x, y)| i32::from(*x) * i32::from(*y)).sum();
        *room = total_small_avx2(sum) + rest;
    }
    all
}

/// The eight numbers of a register, added up.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn total_small_avx2(sums: __m256i) -> i32 {
    let mut eight = [0_i32; 8];
    // SAFETY: eight numbers of 32 bits are as large as the register.
    unsafe { _mm256_storeu_si256(eight.as_mut_ptr().cast(), sums) };
    eight.iter().sum()
}
