//! The sums that searching consists of, for the vector registers of this machine.
//!
//! Which ones those are is asked once, when the first gallery is searched. All kernels give the same sums: of whole
//! numbers exactly, of the others within the rounding of `f32`; and one kernel gives the same sum for a row wherever it
//! stands and however many rows are asked for at once.
//!
//! This is one of the few places with `unsafe`: vector registers are loaded through pointers. Each load stands beside
//! the slice that it reads from.

#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(super) use portable::sum_of;

use std::sync::OnceLock;

/// For each row of a matrix the sum of something over it and the probe.
type Sums<Row, Probe, Sum> = fn(rows: &[Row], probe: &[Probe], sums: &mut [Sum]);

/// One way to compute the sums.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernel {
    name: &'static str,
    products: Sums<f32, f32, f32>,
    squared_distances: Sums<f32, f32, f32>,
    small_products: Sums<u8, i8, i32>,
}

/// A row of small numbers holds them with this added, because vector instructions multiply unsigned by signed numbers.
pub(super) const OFFSET: u8 = 128;

impl Kernel {
    /// The fastest one here.
    pub(super) fn best() -> &'static Self {
        static BEST: OnceLock<Kernel> = OnceLock::new();
        BEST.get_or_init(|| Self::available().first().copied().unwrap_or(portable::KERNEL))
    }

    /// All that run on this machine, the fastest first.
    pub(super) fn available() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        found.extend(x86::available());
        #[cfg(target_arch = "aarch64")]
        found.extend(neon::available());
        found.push(portable::KERNEL);
        found
    }

    /// What it is called: `avx512-vnni`, `avx512`, `avx2`, `neon` or `portable`.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The dot product of each row with the probe. `rows` are as many rows as there are `sums`, each as long as the
    /// probe, one after the other.
    pub(super) fn products(&self, rows: &[f32], probe: &[f32], sums: &mut [f32]) {
        check(rows.len(), probe.len(), sums.len());
        (self.products)(rows, probe, sums);
    }

    /// The square of the distance of each row from the probe. Shapes as in [`Kernel::products`].
    pub(super) fn squared_distances(&self, rows: &[f32], probe: &[f32], sums: &mut [f32]) {
        check(rows.len(), probe.len(), sums.len());
        (self.squared_distances)(rows, probe, sums);
    }

    /// The dot product of each row with the probe, where the rows hold numbers with [`OFFSET`] added: exact, and
    /// **with** that offset, which adds 128 times the sum of the probe. Shapes as in [`Kernel::products`]; rows of at
    /// most 65,536 numbers, lest the sums overflow.
    pub(super) fn small_products(&self, rows: &[u8], probe: &[i8], sums: &mut [i32]) {
        check(rows.len(), probe.len(), sums.len());
        (self.small_products)(rows, probe, sums);
    }
}

fn check(numbers: usize, length: usize, rows: usize) {
    assert!(length > 0 && numbers == length * rows, "{numbers} numbers are not {rows} rows of {length}");
}

/// What galleries are searched with on this machine: `avx512-vnni`, `avx512`, `avx2`, `neon` or `portable`.
#[must_use]
pub fn kernel() -> &'static str {
    Kernel::best().name()
}
