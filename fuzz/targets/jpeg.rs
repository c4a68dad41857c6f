//! What a camera may send as a JPEG: its markers, and the decoder behind them.
#![no_main]

use facewarden::domain::Payload;
use facewarden::vision::decode::decode;
use facewarden::vision::jpeg::{insert_huffman_tables, inspect};
use libfuzzer_sys::fuzz_target;

/// Larger pictures only take longer.
const MAX_AREA_PX: u64 = 512 * 512;

fuzz_target!(|bytes: &[u8]| {
    let Ok(info) = inspect(bytes) else { return };
    assert!(info.length <= bytes.len() && info.first_scan_at < info.length);
    // A whole picture that is cut is never taken for whole.
    assert!(inspect(&bytes[..info.length - 1]).is_err());
    assert!(inspect(&bytes[..info.first_scan_at]).is_err());
    assert_eq!(inspect(&bytes[..info.length]), Ok(info));
    let whole = insert_huffman_tables(bytes.to_vec(), &info);
    assert!(inspect(&whole).is_ok_and(|info| info.has_huffman_tables && info.length == whole.len()));
    if u64::from(info.width) * u64::from(info.height) <= MAX_AREA_PX
        && let Ok(picture) = decode(Payload::Jpeg(bytes.to_vec()))
    {
        assert_eq!(picture.dimensions(), (info.width, info.height));
    }
});
