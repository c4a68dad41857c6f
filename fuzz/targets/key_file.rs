//! The text of a key file.
#![no_main]

use facewarden::store::KeyRing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(keys) = KeyRing::parse(text) {
        let again = KeyRing::parse(&keys.to_text()).expect("what was written can be read");
        assert_eq!(again.current.id(), keys.current.id());
    }
});
