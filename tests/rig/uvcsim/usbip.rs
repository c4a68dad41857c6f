//! USB over a socket, as the kernel's `vhci-hcd` speaks it (Documentation/usb/usbip_protocol.rst): the driver sends
//! requests to the device, and each is answered once, in whatever order.
//!
//! All numbers are big-endian. Every message begins with the same 48 bytes; data follows for what goes out to the
//! device, and for what a request brought in.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use facewarden::clock::{Clock, SystemClock};

/// Where sockets are handed to the kernel, and taken away.
const PORTS: &str = "/sys/devices/platform/vhci_hcd.0";
/// What the kernel calls USB 2.0 at 480 Mbit/s. A socket is not held to it.
const HIGH_SPEED: u32 = 3;

/// Status of a request that the device refuses: a stall, `-EPIPE`.
pub(crate) const STALL: i32 = -32;
/// Status of a request that was taken back in time: `-ECONNRESET`.
const TAKEN_BACK: i32 = -104;

const HEADER: usize = 48;
const SUBMIT: u32 = 1;
const UNLINK: u32 = 2;
const SUBMITTED: u32 = 3;
const UNLINKED: u32 = 4;

/// What the kernel asks of the device.
#[derive(Debug)]
pub(crate) enum Request {
    /// A control request at endpoint 0.
    Control { number: u32, setup: Setup, data: Vec<u8> },
    /// Room for so many bytes of picture.
    Bulk { number: u32, room: usize },
    /// An earlier request is taken back.
    Unlink { number: u32, which: u32 },
}

/// The eight bytes that begin a control request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) kind: u8,
    pub(crate) request: u8,
    pub(crate) value: u16,
    pub(crate) index: u16,
    pub(crate) length: usize,
}

/// A device that is plugged in: our end of the socket.
#[derive(Debug)]
pub(crate) struct Link {
    socket: UnixStream,
    port: u8,
}

impl Link {
    /// Plugs the device into a port. A port is free again only a moment after the last one was pulled out: it is
    /// waited for.
    pub(crate) fn plug(port: u8, clock: &SystemClock) -> Result<Self> {
        let (socket, theirs) = UnixStream::pair().context("making a pair of sockets")?;
        // Bus and number of the device, which only have to be something.
        let device = 0x0001_0002;
        let words = format!("{port} {} {device} {HIGH_SPEED}", theirs.as_raw_fd());
        let give_up = clock.now() + Duration::from_secs(5);
        while let Err(error) = fs::write(format!("{PORTS}/attach"), &words) {
            if clock.now() >= give_up {
                let advice = "is the module vhci-hcd loaded, and are you root?";
                return Err(error).with_context(|| format!("plugging into port {port}: {advice}"));
            }
            clock.sleep(Duration::from_millis(10));
        }
        Ok(Self { socket, port })
    }

    /// Pulls the device out.
    pub(crate) fn unplug(self) -> Result<()> {
        fs::write(format!("{PORTS}/detach"), self.port.to_string())
            .with_context(|| format!("pulling out of port {}", self.port))
    }

    pub(crate) fn port(&self) -> u8 {
        self.port
    }

    pub(crate) fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// The next request; `None` if the kernel has closed the socket.
    pub(crate) fn receive(&mut self) -> Result<Option<Request>> {
        let mut header = [0; HEADER];
        match self.socket.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            other => other.context("reading a request")?,
        }
        let word =
            |at: usize| header[at * 4..].first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let (command, number) = (word(0), word(1));
        match command {
            UNLINK => return Ok(Some(Request::Unlink { number, which: word(5) })),
            SUBMIT => (),
            other => bail!("a message of unknown kind {other}"),
        }
        let (is_in, endpoint, length) = (word(3) == 1, word(4), word(6) as usize);
        let mut data = vec![0; if is_in { 0 } else { length }];
        self.socket.read_exact(&mut data).context("reading what belongs to a request")?;
        if endpoint != 0 {
            return Ok(Some(Request::Bulk { number, room: length }));
        }
        let [kind, request, v0, v1, i0, i1, l0, l1] = *header[HEADER - 8..].first_chunk().unwrap_or(&[0; 8]);
        let length = usize::from(u16::from_le_bytes([l0, l1])).min(length);
        let (value, index) = (u16::from_le_bytes([v0, v1]), u16::from_le_bytes([i0, i1]));
        Ok(Some(Request::Control { number, setup: Setup { kind, request, value, index, length }, data }))
    }

    /// Answers a request that brought something in.
    pub(crate) fn bring(&mut self, number: u32, data: &[u8]) -> Result<()> {
        self.answer(SUBMITTED, number, 0, data.len(), data)
    }

    /// Answers a request that took something out.
    pub(crate) fn took(&mut self, number: u32, length: usize) -> Result<()> {
        self.answer(SUBMITTED, number, 0, length, &[])
    }

    /// Refuses a request.
    pub(crate) fn refuse(&mut self, number: u32) -> Result<()> {
        self.answer(SUBMITTED, number, STALL, 0, &[])
    }

    /// Says whether a request could still be taken back.
    pub(crate) fn taken_back(&mut self, number: u32, in_time: bool) -> Result<()> {
        self.answer(UNLINKED, number, if in_time { TAKEN_BACK } else { 0 }, 0, &[])
    }

    fn answer(&mut self, kind: u32, number: u32, status: i32, length: usize, data: &[u8]) -> Result<()> {
        let mut message = Vec::with_capacity(HEADER + data.len());
        message.extend(kind.to_be_bytes());
        message.extend(number.to_be_bytes());
        // Device, direction and endpoint are not looked at in answers.
        message.extend([0; 12]);
        message.extend(status.to_be_bytes());
        message.extend(u32::try_from(length)?.to_be_bytes());
        message.resize(HEADER, 0);
        message.extend(data);
        self.socket.write_all(&message).context("answering a request")
    }
}
