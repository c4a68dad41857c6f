//! An archive of people. What it asks for the passphrase is kept small, or nothing but Argon2 would be tried.
#![no_main]

use facewarden::store::ArchiveReader;
use libfuzzer_sys::fuzz_target;

/// Where the parameters of Argon2 are: memory in KiB, passes, lanes.
const PARAMETERS_AT: usize = 12;
const SMALL: [u32; 3] = [8, 1, 1];

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    for (value, at) in SMALL.into_iter().zip((PARAMETERS_AT..).step_by(4)) {
        if let Some(place) = bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }
    if let Ok(archive) = ArchiveReader::new(&*bytes, "passphrase") {
        // Somebody who knows the passphrase may have made it.
        archive.for_each(drop);
    }
});
