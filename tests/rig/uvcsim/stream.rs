//! Pictures on the wire (UVC 2.4.3): cut into payloads, each with a header of two bytes; and what can go wrong there.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use facewarden::clock::Moment;

use super::device::{Mode, PAYLOAD};
use super::scenes::Scenes;

/// Bits of a payload's header.
mod header {
    pub(super) const LENGTH: usize = 2;
    /// Alternates from frame to frame.
    pub(super) const FRAME: u8 = 0x01;
    pub(super) const END_OF_FRAME: u8 = 0x02;
    pub(super) const ERROR: u8 = 0x40;
    pub(super) const END_OF_HEADER: u8 = 0x80;
}

/// What is wrong with the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It gives no more frames.
    Freeze,
    /// It gives the same picture again and again.
    Still,
    /// It answers nothing at all.
    Hang,
    /// One frame of so many is wrong in this way.
    Every(u64, Damage),
}

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Its second half is missing, and nothing says so.
    Short,
    /// Nothing of it comes.
    Empty,
    /// Its second half is missing, and the header's error bit says so.
    ErrorBit,
    /// Something that is no picture comes instead.
    Garbage,
}

impl Fault {
    /// `none`, `freeze`, `still`, `hang`, or `short=K`, `empty=K`, `errbit=K`, `garbage=K` for every K-th frame.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "none" => Self::None,
            "freeze" => Self::Freeze,
            "still" => Self::Still,
            "hang" => Self::Hang,
            _ => {
                let (kind, every) =
                    text.split_once('=').with_context(|| format!("no fault is called '{text}'"))?;
                let every = every.parse().ok().filter(|every| *every > 0);
                let every = every.with_context(|| format!("'{text}' needs a number of frames, 1 or more"))?;
                let damage = match kind {
                    "short" => Damage::Short,
                    "empty" => Damage::Empty,
                    "errbit" => Damage::ErrorBit,
                    "garbage" => Damage::Garbage,
                    _ => bail!("no fault is called '{kind}'"),
                };
                Self::Every(every, damage)
            }
        })
    }
}

/// What can be sent now.
#[derive(Debug)]
pub(crate) enum Next {
    Payload(Vec<u8>),
    /// Nothing before this moment.
    Wait(Moment),
    /// Nothing until the fault is mended.
    Never,
}

/// A frame on its way.
#[derive(Debug)]
struct Frame {
    bytes: Vec<u8>,
    sent: usize,
    has_error: bool,
}

/// The stream of pictures.
#[derive(Debug)]
pub(crate) struct Stream {
    period: Duration,
    pub(crate) fault: Fault,
    frame: Option<Frame>,
    still: Option<(Mode, Vec<u8>)>,
    due: Moment,
    frame_bit: u8,
    /// Frames begun, ever.
    pub(crate) frames: u64,
    /// Of those, frames that were damaged.
    pub(crate) damaged: u64,
    /// When the last frame was begun that is whole.
    pub(crate) last_whole: Option<Moment>,
    /// When the first frame was begun since the camera was plugged in.
    pub(crate) first: Option<Moment>,
}

impl Stream {
    pub(crate) fn new(fps: u32) -> Self {
        Self {
            period: Duration::from_secs(1) / fps.max(1),
            fault: Fault::None,
            frame: None,
            still: None,
            due: Moment::default(),
            frame_bit: 0,
            frames: 0,
            damaged: 0,
            last_whole: None,
            first: None,
        }
    }

    /// What was under way is over; the next frame is due now.
    pub(crate) fn restart(&mut self, now: Moment) {
        self.frame = None;
        self.due = now;
    }

    /// The camera was plugged in.
    pub(crate) fn plugged(&mut self, now: Moment) {
        self.restart(now);
        self.first = None;
    }

    /// The next payload, for a request with so much room.
    pub(crate) fn next(&mut self, room: usize, now: Moment, mode: Mode, scenes: &mut Scenes) -> Result<Next> {
        if self.frame.is_none() {
            if matches!(self.fault, Fault::Freeze | Fault::Hang) {
                return Ok(Next::Never);
            }
            if now < self.due {
                return Ok(Next::Wait(self.due));
            }
            self.begin(now, mode, scenes)?;
        }
        let Some(frame) = &mut self.frame else { return Ok(Next::Never) };
        let room = room.min(PAYLOAD).saturating_sub(header::LENGTH);
        let part = &frame.bytes[frame.sent..frame.bytes.len().min(frame.sent + room)];
        frame.sent += part.len();
        let is_last = frame.sent == frame.bytes.len();
        let mut bits = header::END_OF_HEADER | self.frame_bit;
        bits |= if is_last { header::END_OF_FRAME } else { 0 };
        bits |= if frame.has_error { header::ERROR } else { 0 };
        let payload = [&[2, bits], part].concat();
        if is_last {
            self.frame = None;
        }
        Ok(Next::Payload(payload))
    }

    fn begin(&mut self, now: Moment, mode: Mode, scenes: &mut Scenes) -> Result<()> {
        // A frame that is late does not make the next one early.
        self.due = (self.due + self.period).max(now);
        self.frame_bit ^= header::FRAME;
        self.frames += 1;
        self.first.get_or_insert(now);
        let mut bytes = match (&self.still, self.fault) {
            (Some((of, picture)), Fault::Still) if *of == mode => picture.clone(),
            _ => scenes.next(mode)?,
        };
        self.still = (self.fault == Fault::Still).then(|| (mode, bytes.clone()));
        let damage = match self.fault {
            Fault::Every(every, damage) if self.frames.is_multiple_of(every) => Some(damage),
            _ => None,
        };
        match damage {
            Some(Damage::Short | Damage::ErrorBit) => bytes.truncate(bytes.len() / 2),
            Some(Damage::Empty) => bytes.clear(),
            Some(Damage::Garbage) => bytes.iter_mut().for_each(|byte| *byte = byte.wrapping_mul(167) ^ 0x5a),
            None => self.last_whole = Some(now),
        }
        self.damaged += u64::from(damage.is_some());
        self.frame = Some(Frame { bytes, sent: 0, has_error: damage == Some(Damage::ErrorBit) });
        Ok(())
    }
}
