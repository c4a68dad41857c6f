//! What the camera says of itself: USB 2.0 chapter 9, and the USB video class 1.0 ("UVC": its sections are named below).
//!
//! A webcam as they are sold: motion JPEG and YUYV, 640x480 and 1280x720, one frame rate, and a few controls.

/// Formats, numbered from 1 as the class does.
pub(crate) const MJPG: u8 = 1;
pub(crate) const YUYV: u8 = 2;

/// Sizes, numbered from 1.
pub(crate) const SIZES: [(u16, u16); 2] = [(640, 480), (1280, 720)];

/// The parts that pictures come through, and whose controls can be set.
pub(crate) const LENS: u8 = 1;
pub(crate) const PROCESSING: u8 = 2;
const OUTPUT: u8 = 3;

/// The interfaces.
pub(crate) const CONTROL_INTERFACE: u8 = 0;
pub(crate) const STREAM_INTERFACE: u8 = 1;
const STREAM_ENDPOINT: u8 = 0x81;

/// A class-specific interface descriptor.
const CLASS: u8 = 0x24;
const VIDEO: u8 = 0x0e;

/// What the device is: one of many interfaces (class 0xef), of nobody's (0x1d6b is the kernel's own vendor id).
pub(crate) fn device() -> Vec<u8> {
    vec![18, 1, 0x00, 0x02, 0xef, 2, 1, 64, 0x6b, 0x1d, 0x02, 0x01, 0x00, 0x01, 1, 2, 3, 1]
}

/// The text with a number: who made it, what it is, which one it is.
pub(crate) fn text(number: u16, serial: &str) -> Option<Vec<u8>> {
    let text = match number & 0xff {
        // The languages there are: English.
        0 => return Some(vec![4, 3, 0x09, 0x04]),
        1 => "Facewarden",
        2 => "Simulated Webcam",
        3 => serial,
        _ => return None,
    };
    let units: Vec<u8> = text.encode_utf16().take(126).flat_map(u16::to_le_bytes).collect();
    Some([&[u8::try_from(units.len() + 2).ok()?, 3], units.as_slice()].concat())
}

/// A frame's time, in the class's unit of 100 ns.
pub(crate) fn interval(fps: u32) -> u32 {
    10_000_000 / fps.max(1)
}

/// Bytes of a raw frame; no JPEG is larger.
pub(crate) fn frame_bytes((width, height): (u16, u16)) -> u32 {
    u32::from(width) * u32::from(height) * 2
}

/// All of the configuration: two interfaces and what belongs to them.
pub(crate) fn configuration(fps: u32) -> Vec<u8> {
    let control = control_interface();
    let stream = stream_interface(fps);
    // The two belong together (an interface association).
    let association = [8, 11, CONTROL_INTERFACE, 2, VIDEO, 3, 0, 2];
    let body = [association.as_slice(), &control, &stream].concat();
    let mut all = vec![9, 2];
    all.extend(length(9 + body.len()));
    // Two interfaces, configuration 1, powered by the bus with 500 mA.
    all.extend([2, 1, 0, 0x80, 250]);
    all.extend(body);
    all
}

/// UVC 3.7: how pictures flow from the lens through processing to the wire, and what can be set on the way.
fn control_interface() -> Vec<u8> {
    let mut units = Vec::new();
    // 3.7.2.3. Bits 1 and 3: automatic exposure, and exposure time.
    units.extend([18, CLASS, 2, LENS, 0x01, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0b1010, 0, 0]);
    // 3.7.2.5. Bits 0 and 10: brightness, and the mains frequency.
    units.extend([11, CLASS, 5, PROCESSING, LENS, 0, 0, 2, 0b1, 0b100, 0]);
    units.extend([9, CLASS, 3, OUTPUT, 0x01, 0x01, 0, PROCESSING, 0]);
    let mut all = vec![9, 4, CONTROL_INTERFACE, 0, 0, VIDEO, 1, 0, 2];
    // 3.7.2: version 1.0, a clock of 48 MHz, and the one interface that streams.
    all.extend([13, CLASS, 1, 0x00, 0x01]);
    all.extend(length(13 + units.len()));
    all.extend(48_000_000_u32.to_le_bytes());
    all.extend([1, STREAM_INTERFACE]);
    all.extend(units);
    all
}

/// UVC 3.9: formats, sizes and rates; pictures go over a bulk endpoint of 512 bytes.
fn stream_interface(fps: u32) -> Vec<u8> {
    let colours = [6, CLASS, 0x0d, 1, 1, 4];
    let sizes = u8::try_from(SIZES.len()).unwrap_or(0);
    let mut formats = vec![11, CLASS, 6, MJPG, sizes, 1, 1, 0, 0, 0, 0];
    formats.extend(frames(7, fps));
    formats.extend(colours);
    formats.extend([27, CLASS, 4, YUYV, sizes]);
    // "YUY2" as the class names it, 16 bits a pixel.
    formats.extend(*b"YUY2\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71");
    formats.extend([16, 1, 0, 0, 0, 0]);
    formats.extend(frames(5, fps));
    formats.extend(colours);
    let mut all = vec![9, 4, STREAM_INTERFACE, 0, 1, VIDEO, 2, 0, 0];
    all.extend([15, CLASS, 1, 2]);
    all.extend(length(15 + formats.len()));
    all.extend([STREAM_ENDPOINT, 0, OUTPUT, 0, 0, 0, 1, 0, 0]);
    all.extend(formats);
    all.extend([7, 5, STREAM_ENDPOINT, 2, 0x00, 0x02, 0]);
    all
}

/// The sizes of a format, each with its one rate.
fn frames(kind: u8, fps: u32) -> Vec<u8> {
    let mut all = Vec::new();
    for (number, (width, height)) in (1..).zip(SIZES) {
        let bytes = frame_bytes((width, height));
        all.extend([30, CLASS, kind, number, 0]);
        all.extend(width.to_le_bytes());
        all.extend(height.to_le_bytes());
        // The slowest and the fastest stream in bits a second, and the largest frame.
        all.extend((bytes * 8 * fps / 10).to_le_bytes());
        all.extend((bytes * 8 * fps).to_le_bytes());
        all.extend(bytes.to_le_bytes());
        all.extend(interval(fps).to_le_bytes());
        all.push(1);
        all.extend(interval(fps).to_le_bytes());
    }
    all
}

/// A length in two bytes. None here comes near 65,535.
fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_le_bytes()
}
