//! A person's file in the gallery. The checksum is put right, or nothing would ever get past it.
#![no_main]

use facewarden::store::{decode, encode};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};

const LENGTH_AT: usize = 12;
const HEADER_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 32;

fuzz_target!(|bytes: &[u8]| {
    assert!(decode(bytes).is_err(), "a checksum of 32 bytes was guessed");
    if bytes.len() < HEADER_BYTES {
        return;
    }
    let mut file = bytes.to_vec();
    let Ok(length) = u32::try_from(file.len() + CHECKSUM_BYTES) else { return };
    file[LENGTH_AT..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
    let checksum = Sha256::digest(&file);
    file.extend_from_slice(&checksum);
    if let Ok(person) = decode(&file) {
        let written = encode(&person).expect("what was read can be written");
        let read = decode(&written).expect("what was written can be read");
        assert_eq!((read.id, &read.name, read.templates.len()), (person.id, &person.name, person.templates.len()));
    }
});
