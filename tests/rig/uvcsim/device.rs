//! The camera's answers to control requests: what it is, which picture it is to give, and its controls.

use super::descriptors::{
    self, CONTROL_INTERFACE, LENS, MJPG, PROCESSING, SIZES, STREAM_INTERFACE, YUYV, frame_bytes, interval,
};
use super::usbip::Setup;

/// The most that is sent in answer to one request for picture data, header and all: what `uvcvideo` asks for at once
/// of a bulk endpoint (32 packets of 512 bytes).
pub(crate) const PAYLOAD: usize = 16_384;

/// Requests of the video class (UVC A.8).
mod class {
    pub(super) const SET_CURRENT: u8 = 0x01;
    pub(super) const GET_CURRENT: u8 = 0x81;
    pub(super) const GET_MIN: u8 = 0x82;
    pub(super) const GET_MAX: u8 = 0x83;
    pub(super) const GET_STEP: u8 = 0x84;
    pub(super) const GET_LENGTH: u8 = 0x85;
    pub(super) const GET_INFO: u8 = 0x86;
    pub(super) const GET_DEFAULT: u8 = 0x87;
}

/// Bytes of the agreement about a stream (UVC 4.3.1.1, version 1.0).
const AGREEMENT: usize = 26;
/// Selectors of the streaming interface: what is proposed, and what is agreed.
const PROBE: u16 = 1;
const COMMIT: u16 = 2;

/// What a control request comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Bytes for the kernel.
    Bring(Vec<u8>),
    /// Done.
    Done,
    /// Done, and the stream begins anew.
    Restart,
    /// Done, and the stream stops.
    Stop,
    /// Not something that this camera has.
    Refuse,
}

/// Which picture the camera is to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode {
    pub(crate) is_raw: bool,
    pub(crate) width: u16,
    pub(crate) height: u16,
}

/// A setting of the camera.
#[derive(Debug)]
struct Control {
    name: &'static str,
    unit: u8,
    selector: u8,
    bytes: usize,
    min: i32,
    max: i32,
    /// The step between values; for the exposure mode, by the class, all modes there are.
    step: i32,
    default: i32,
    now: i32,
}

/// The device, plugged in or not: it keeps its settings as a webcam on its own supply would.
#[derive(Debug)]
pub(crate) struct Device {
    fps: u32,
    serial: String,
    format: u8,
    size: u8,
    controls: [Control; 4],
}

impl Device {
    pub(crate) fn new(fps: u32, serial: String) -> Self {
        let control = |name, unit, selector, bytes, (min, max, step), default| Control {
            name,
            unit,
            selector,
            bytes,
            min,
            max,
            step,
            default,
            now: default,
        };
        let controls = [
            // Manual is 1; 8 leaves the exposure to the camera.
            control("auto_exposure", LENS, 2, 1, (1, 8, 9), 8),
            control("exposure", LENS, 4, 4, (1, 5000, 1), 156),
            control("brightness", PROCESSING, 2, 2, (0, 255, 1), 128),
            // Off, 50 Hz, 60 Hz.
            control("mains", PROCESSING, 5, 1, (0, 2, 1), 2),
        ];
        Self { fps, serial, format: MJPG, size: 1, controls }
    }

    pub(crate) fn mode(&self) -> Mode {
        let (width, height) = SIZES[usize::from(self.size.max(1) - 1).min(SIZES.len() - 1)];
        Mode { is_raw: self.format == YUYV, width, height }
    }

    /// `name=value` of each control, for people and scripts.
    pub(crate) fn settings(&self) -> String {
        let each: Vec<_> = self.controls.iter().map(|c| format!("{}={}", c.name, c.now)).collect();
        each.join(" ")
    }

    pub(crate) fn answer(&mut self, setup: Setup, data: &[u8]) -> Answer {
        const STANDARD_OUT: [u8; 3] = [0x00, 0x01, 0x02];
        let answer = match (setup.kind, setup.request) {
            (0x80, 6) => self.descriptor(setup.value).map_or(Answer::Refuse, Answer::Bring),
            // Status of device, interface, endpoint; the configuration; the alternate setting.
            (0x80..=0x82, 0) => Answer::Bring(vec![0, 0]),
            (0x80, 8) => Answer::Bring(vec![1]),
            (0x81, 10) => Answer::Bring(vec![0]),
            // An endpoint is cleared, or a setting chosen: what was under way is over.
            (kind, 1 | 11) if STANDARD_OUT.contains(&kind) => Answer::Stop,
            (kind, _) if STANDARD_OUT.contains(&kind) => Answer::Done,
            (0x21 | 0xa1, request) => self.of_class(request, setup, data),
            _ => Answer::Refuse,
        };
        match answer {
            Answer::Bring(mut bytes) => {
                bytes.truncate(setup.length);
                Answer::Bring(bytes)
            }
            other => other,
        }
    }

    fn descriptor(&self, value: u16) -> Option<Vec<u8>> {
        match value >> 8 {
            1 => Some(descriptors::device()),
            2 => Some(descriptors::configuration(self.fps)),
            3 => descriptors::text(value, &self.serial),
            _ => None,
        }
    }

    fn of_class(&mut self, request: u8, setup: Setup, data: &[u8]) -> Answer {
        let [interface, unit] = setup.index.to_le_bytes();
        let selector = setup.value >> 8;
        match (interface, selector) {
            (STREAM_INTERFACE, PROBE | COMMIT) => self.agree(request, selector, data),
            (CONTROL_INTERFACE, _) => {
                let control = self
                    .controls
                    .iter_mut()
                    .find(|control| control.unit == unit && u16::from(control.selector) == selector);
                control.map_or(Answer::Refuse, |control| control.answer(request, data))
            }
            _ => Answer::Refuse,
        }
    }

    /// The kernel proposes a format and a size; the camera says what it makes of that.
    fn agree(&mut self, request: u8, selector: u16, data: &[u8]) -> Answer {
        match request {
            class::SET_CURRENT => {
                let (format, size) = (data.get(2).copied().unwrap_or(0), data.get(3).copied().unwrap_or(0));
                self.format = format.clamp(MJPG, YUYV);
                self.size = size.clamp(1, u8::try_from(SIZES.len()).unwrap_or(1));
                if selector == COMMIT { Answer::Restart } else { Answer::Done }
            }
            class::GET_LENGTH => Answer::Bring(vec![26, 0]),
            class::GET_INFO => Answer::Bring(vec![3]),
            _ => Answer::Bring(self.agreement()),
        }
    }

    fn agreement(&self) -> Vec<u8> {
        let Mode { width, height, .. } = self.mode();
        let mut bytes = vec![0, 0, self.format, self.size];
        bytes.extend(interval(self.fps).to_le_bytes());
        bytes.resize(18, 0);
        bytes.extend(frame_bytes((width, height)).to_le_bytes());
        bytes.extend(u32::try_from(PAYLOAD).unwrap_or(u32::MAX).to_le_bytes());
        bytes.resize(AGREEMENT, 0);
        bytes
    }
}

impl Control {
    fn answer(&mut self, request: u8, data: &[u8]) -> Answer {
        let value = match request {
            class::SET_CURRENT => {
                let mut bytes = [0; 4];
                bytes.iter_mut().zip(data.iter().take(self.bytes)).for_each(|(to, from)| *to = *from);
                self.now = i32::from_le_bytes(bytes).clamp(self.min, self.max);
                return Answer::Done;
            }
            class::GET_LENGTH => return Answer::Bring(vec![u8::try_from(self.bytes).unwrap_or(0), 0]),
            // It can be read and set.
            class::GET_INFO => return Answer::Bring(vec![3]),
            class::GET_CURRENT => self.now,
            class::GET_MIN => self.min,
            class::GET_MAX => self.max,
            class::GET_STEP => self.step,
            class::GET_DEFAULT => self.default,
            _ => return Answer::Refuse,
        };
        Answer::Bring(value.to_le_bytes()[..self.bytes].to_vec())
    }
}
