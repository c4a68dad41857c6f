//! The operator at the terminal. Waiting for them never blocks: a signal ends it, and the camera is read meanwhile.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Enter.
    Go,
    /// `s`.
    Skip,
    /// `q`.
    Quit,
    /// Anything else.
    Unclear,
}

impl Answer {
    fn of(line: &str) -> Self {
        match line.trim() {
            "" => Self::Go,
            "s" | "S" => Self::Skip,
            "q" | "Q" => Self::Quit,
            _ => Self::Unclear,
        }
    }
}

/// What there is to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    /// A whole line.
    Line(Answer),
    /// Nothing yet.
    Nothing,
    /// Nothing will come any more.
    Ended,
}

/// A longer line is no answer.
const MAX_LINE: usize = 4096;

/// Lines from a terminal, read as they come.
#[derive(Debug)]
pub(super) struct Lines<F> {
    from: F,
    buffer: Vec<u8>,
    /// The end was read; some terminals tell it only once.
    is_ended: bool,
}

impl<F: AsFd> Lines<F> {
    /// From an open file.
    pub(super) fn new(from: F) -> Self {
        Self { from, buffer: Vec::new(), is_ended: false }
    }

    /// Forgets what was typed while nobody asked.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        while self.read()? == Some(true) {}
        self.buffer.clear();
        Ok(())
    }

    /// The next line, without waiting for it.
    pub(super) fn next(&mut self) -> io::Result<Typed> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(Typed::Line(Answer::of(&String::from_utf8_lossy(&line))));
            }
            if self.buffer.len() > MAX_LINE {
                self.buffer.clear();
                return Ok(Typed::Line(Answer::Unclear));
            }
            match self.read()? {
                Some(true) => (),
                Some(false) => return Ok(Typed::Ended),
                None => return Ok(Typed::Nothing),
            }
        }
    }

    /// Reads what is there: true if something was, false at the end, `None` if there is nothing now.
    fn read(&mut self) -> io::Result<Option<bool>> {
        if self.is_ended {
            return Ok(Some(false));
        }
        let mut waiting = [PollFd::new(&self.from, PollFlags::IN)];
        match poll(&mut waiting, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(0) | Err(Errno::INTR) => return Ok(None),
            Ok(_) => (),
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; 512];
        match rustix::io::read(&self.from, &mut bytes) {
            // The last is what a terminal says that has gone.
            Ok(0) | Err(Errno::IO) => {
                self.is_ended = true;
                Ok(Some(false))
            }
            Ok(count) => {
                self.buffer.extend_from_slice(&bytes[..count]);
                Ok(Some(true))
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_the_end_is_told() {
        let (from, to) = rustix::pipe::pipe().unwrap();
        let mut lines = Lines::new(from);
        let write = |text: &str| rustix::io::write(&to, text.as_bytes()).unwrap();
        assert_eq!(lines.next().unwrap(), Typed::Nothing);
        write("s");
        assert_eq!(lines.next().unwrap(), Typed::Nothing);
        write("\n\n q \nx\n");
        for answer in [Answer::Skip, Answer::Go, Answer::Quit, Answer::Unclear] {
            assert_eq!(lines.next().unwrap(), Typed::Line(answer));
        }
        write("typed ahead\n\n");
        lines.forget().unwrap();
        assert_eq!(lines.next().unwrap(), Typed::Nothing);
        drop(to);
        lines.forget().unwrap();
        assert_eq!(lines.next().unwrap(), Typed::Ended);
    }
}
