//! A recording that stands in for a camera.
#![no_main]

use std::io::Cursor;

use facewarden::camera::avi::AviReader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut reader) = AviReader::new(Cursor::new(bytes)) else { return };
    // A frame takes at least the 8 bytes of its header.
    let most = bytes.len() / 8 + 1;
    let mut frames = 0;
    while let Ok(Some(frame)) = reader.next_frame() {
        assert!(frame.len() <= bytes.len());
        frames += 1;
        assert!(frames <= most, "it gives frames without end");
    }
});
