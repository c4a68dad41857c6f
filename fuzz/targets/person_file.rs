//! A person's file in the gallery: as it lies there, from before it was encrypted, and what is inside. The checksum is put
//! right, and the tag left out, or nothing would ever get past them.
#![no_main]

use facewarden::store::{Key, KeyRing, RecordId, decode, decode_unencrypted, encode, read_inside};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};

const LENGTH_AT: usize = 12;
const HEADER_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 32;

fuzz_target!(|bytes: &[u8]| {
    let keys = KeyRing::of(Key::new_random().expect("random numbers"));
    assert!(decode(bytes, Some(&keys)).is_err(), "a checksum of 32 bytes was guessed");
    if let Ok(person) = read_inside(RecordId(ulid::Ulid(1)), bytes) {
        let written = encode(&person, &keys.current).expect("what was read can be written");
        let read = decode(&written, Some(&keys)).expect("what was written can be read");
        assert_eq!(read, person);
    }
    if bytes.len() < HEADER_BYTES {
        return;
    }
    let mut file = bytes.to_vec();
    let Ok(length) = u32::try_from(file.len() + CHECKSUM_BYTES) else { return };
    file[LENGTH_AT..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
    let checksum = Sha256::digest(&file);
    file.extend_from_slice(&checksum);
    assert!(decode(&file, Some(&keys)).is_err(), "a tag was guessed");
    if let Ok(person) = decode_unencrypted(&file) {
        encode(&person, &keys.current).expect("what was read can be written");
    }
});
