//! Exit codes, and errors that carry one. Documented in the README and in `--help`.

use std::fmt;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; for `compare` the same person.
    Ok = 0,
    /// Done, and the answer is no: different people, nobody recognised, the demo did not pass.
    No = 1,
    /// Could not tell: no face, an unreadable picture.
    CannotTell = 2,
    /// Wrong use of the command line.
    Usage = 64,
    /// Data of the program's own is damaged (a template file, a recording).
    Data = 65,
    /// A named file, folder or person does not exist.
    NoInput = 66,
    /// Something needed is not there: a camera, ffmpeg, ONNX Runtime, a model.
    Unavailable = 69,
    /// A defect of the program.
    Internal = 70,
    /// Cannot write: full disk, read-only folder.
    CannotWrite = 73,
    /// Another program is changing the same data; try again.
    Busy = 75,
    /// Permissions: not allowed, or too open for biometric data.
    Permission = 77,
    /// The configuration is faulty.
    Config = 78,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error and the exit code it leads to.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What went wrong, with its causes.
    pub error: anyhow::Error,
}

impl Failure {
    /// A failure with a message.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, error: anyhow::anyhow!("{message}") }
    }
}

impl fmt::Display for Failure {
    /// The whole chain on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// Gives an error its exit code.
pub trait OrExit<T> {
    /// This exit code if it is an error.
    ///
    /// # Errors
    /// The same error, as a [`Failure`].
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit, error: error.into() })
    }
}

/// What every command returns.
pub type Outcome = Result<Exit, Failure>;
