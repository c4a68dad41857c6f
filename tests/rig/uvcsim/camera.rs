//! The camera as a whole: one loop that answers the kernel, sends pictures when they are due, and does as it is told.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use facewarden::clock::{Clock, Moment, SystemClock};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::device::{Answer, Device};
use super::scenes::Scenes;
use super::stream::{Fault, Next, Stream};
use super::usbip::{Link, Request};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The scenes, made by `draw`
    #[arg(long)]
    scenes: PathBuf,
    /// Where it is told what to do
    #[arg(long)]
    socket: PathBuf,
    /// The scene that is shown first
    #[arg(long, default_value = "empty")]
    show: String,
    /// The USB port that it is plugged into at first; left out: none
    #[arg(long)]
    port: Option<u8>,
    /// Its serial number, which its lasting name in /dev/v4l/by-id ends with
    #[arg(long, default_value = "0001")]
    serial: String,
    /// Frames a second
    #[arg(long, default_value_t = 15)]
    fps: u32,
}

/// Whether it goes on.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    Quit,
}

#[derive(Debug)]
struct Camera {
    clock: SystemClock,
    device: Device,
    stream: Stream,
    scenes: Scenes,
    link: Option<Link>,
    /// Requests for picture data that are not answered yet: number and room.
    waiting: VecDeque<(u32, usize)>,
    /// The port it was last plugged into.
    port: u8,
}

/// Is a camera until told to quit.
///
/// # Errors
/// If the socket cannot be made, the kernel has no such port, or a picture cannot be read.
pub(crate) fn run(args: &Args) -> Result<()> {
    drop(fs::remove_file(&args.socket));
    let listener = UnixListener::bind(&args.socket)
        .with_context(|| format!("making the socket {}", args.socket.display()))?;
    let clock = SystemClock::new();
    let mut camera = Camera {
        device: Device::new(args.fps, args.serial.clone()),
        stream: Stream::new(args.fps),
        scenes: Scenes::new(&args.scenes, &args.show),
        link: None,
        waiting: VecDeque::new(),
        port: args.port.unwrap_or(0),
        clock,
    };
    if args.port.is_some() {
        camera.plug()?;
    }
    loop {
        let wait = camera.send()?;
        let (is_asked, is_told) = wait_for(camera.link.as_ref(), &listener, wait)?;
        if is_asked {
            camera.serve()?;
        }
        if is_told && camera.obey(&listener)? == Then::Quit {
            return camera.unplug();
        }
    }
}

/// Waits for the kernel or for somebody who has something to say; says which.
fn wait_for(link: Option<&Link>, listener: &UnixListener, wait: Duration) -> Result<(bool, bool)> {
    let timeout = Timespec::try_from(wait)?;
    let mut descriptors = vec![PollFd::new(listener, PollFlags::IN)];
    descriptors.extend(link.map(|link| PollFd::new(link.socket(), PollFlags::IN)));
    match poll(&mut descriptors, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => (),
        Err(error) => return Err(error).context("waiting"),
    }
    let is_ready = |at: usize| descriptors.get(at).is_some_and(|one| !one.revents().is_empty());
    Ok((is_ready(1), is_ready(0)))
}

impl Camera {
    /// Sends what can be sent now; returns how long there is nothing to send.
    fn send(&mut self) -> Result<Duration> {
        const LONG: Duration = Duration::from_secs(1);
        while let (Some(link), Some((number, room))) = (&mut self.link, self.waiting.front().copied()) {
            let now = self.clock.now();
            match self.stream.next(room, now, self.device.mode(), &mut self.scenes)? {
                Next::Payload(bytes) => {
                    self.waiting.pop_front();
                    if link.bring(number, &bytes).is_err() {
                        // The kernel has let go of the device; the next read says so.
                        return Ok(Duration::ZERO);
                    }
                }
                Next::Wait(until) => return Ok(until.since(now)),
                Next::Never => return Ok(LONG),
            }
        }
        Ok(LONG)
    }

    /// Answers one request.
    fn serve(&mut self) -> Result<()> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let Some(request) = link.receive()? else {
            self.say("the kernel has let go of the camera");
            self.link = None;
            self.waiting.clear();
            return Ok(());
        };
        match request {
            Request::Bulk { number, room } => self.waiting.push_back((number, room)),
            Request::Unlink { number, which } => {
                let before = self.waiting.len();
                self.waiting.retain(|(waiting, _)| *waiting != which);
                link.taken_back(number, self.waiting.len() < before || self.stream.fault == Fault::Hang)?;
            }
            Request::Control { .. } if self.stream.fault == Fault::Hang => (),
            Request::Control { number, setup, data } => {
                let answer = self.device.answer(setup, &data);
                if matches!(answer, Answer::Restart | Answer::Stop) {
                    self.stream.restart(self.clock.now());
                }
                match answer {
                    Answer::Bring(bytes) => link.bring(number, &bytes)?,
                    Answer::Done | Answer::Restart | Answer::Stop => link.took(number, data.len())?,
                    Answer::Refuse => link.refuse(number)?,
                }
            }
        }
        Ok(())
    }

    /// Does what somebody says who has just connected, and answers.
    fn obey(&mut self, listener: &UnixListener) -> Result<Then> {
        let (socket, _) = listener.accept().context("taking a command")?;
        // Whoever connects and says nothing must not hold up the pictures.
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        let mut words = String::new();
        if BufReader::new(&socket).read_line(&mut words).is_err() {
            return Ok(Then::GoOn);
        }
        let words: Vec<&str> = words.split_whitespace().collect();
        let (answer, then) = match self.command(&words) {
            Ok((answer, then)) => (answer, then),
            Err(error) => (format!("error: {error:#}"), Then::GoOn),
        };
        reply(&socket, &answer);
        Ok(then)
    }

    fn command(&mut self, words: &[&str]) -> Result<(String, Then)> {
        match words {
            ["show", scene] => self.scenes.show(scene, None)?,
            ["show", scene, "then", next] => self.scenes.show(scene, Some(next))?,
            ["fault", fault] => self.stream.fault = Fault::parse(fault)?,
            ["unplug"] => self.unplug()?,
            ["plug"] => self.plug()?,
            ["plug", port] => {
                self.port = port.parse().with_context(|| format!("'{port}' is no port"))?;
                self.plug()?;
            }
            ["status"] => return Ok((self.status(), Then::GoOn)),
            ["quit"] => return Ok((self.status(), Then::Quit)),
            _ => bail!("'{}' is nothing that this camera can do", words.join(" ")),
        }
        self.say(&words.join(" "));
        Ok((self.status(), Then::GoOn))
    }

    fn plug(&mut self) -> Result<()> {
        if self.link.is_some() {
            bail!("it is plugged in");
        }
        self.link = Some(Link::plug(self.port, &self.clock)?);
        self.stream.plugged(self.clock.now());
        Ok(())
    }

    fn unplug(&mut self) -> Result<()> {
        self.waiting.clear();
        self.link.take().map_or(Ok(()), Link::unplug)
    }

    /// One line: what it does, in words that a shell can take apart. Times are in milliseconds since 1970.
    fn status(&self) -> String {
        let time =
            |moment: Option<Moment>| moment.map_or(0, |moment| self.clock.wall(moment).0.as_millisecond());
        let mode = self.device.mode();
        format!(
            "plugged={} port={} scene={} format={} size={}x{} frames={} damaged={} first_ms={} whole_ms={} now_ms={} {}",
            u8::from(self.link.is_some()),
            self.link.as_ref().map_or(self.port, Link::port),
            self.scenes.scene(),
            if mode.is_raw { "yuyv" } else { "mjpg" },
            mode.width,
            mode.height,
            self.stream.frames,
            self.stream.damaged,
            time(self.stream.first),
            time(self.stream.last_whole),
            time(Some(self.clock.now())),
            self.device.settings(),
        )
    }

    /// Notes what it does, with the time, on standard output.
    fn say(&self, what: &str) {
        let now = self.clock.wall(self.clock.now());
        // Nobody has to read along.
        drop(writeln!(std::io::stdout(), "{now} {what}; {}", self.status()));
    }
}

fn reply(mut socket: &UnixStream, answer: &str) {
    // Whoever asked may have gone.
    drop(writeln!(socket, "{answer}"));
}
