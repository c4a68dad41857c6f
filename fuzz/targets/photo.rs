//! What somebody may hand in as a photo: every kind of picture file, with its turn and its colours.
#![no_main]

use facewarden::vision::photo::decode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(picture) = decode(bytes) {
        assert!(picture.width() > 0 && picture.height() > 0);
    }
});
