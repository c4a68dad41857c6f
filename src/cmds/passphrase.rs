//! The passphrase of an archive: from a file, or typed without being shown.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::exit::{Exit, Failure, OrExit};

/// Longer than anybody types.
const MAX_BYTES: u64 = 4096;

/// Where the passphrase comes from.
#[derive(Debug, clap::Args)]
pub struct PassphraseArgs {
    /// Read the passphrase from the first line of this file, which others must not be able to read (`-` is standard input); else it is asked for
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// The passphrase; asked for twice where it is a new one.
    ///
    /// # Errors
    /// If the file cannot be read or others can, nobody can be asked, or what was typed differs.
    pub fn read(&self, is_new: bool) -> Result<Zeroizing<String>, Failure> {
        match self.passphrase_file.as_deref() {
            Some(path) if path == Path::new("-") => first_line(io::stdin().lock()),
            Some(path) => of_file(path),
            None => asked(is_new),
        }
    }
}

fn of_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unreadable = |error: io::Error| {
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::Permission,
            _ => Exit::NoInput,
        };
        Failure::new(exit, format!("cannot read the passphrase in {}: {error}", path.display()))
    };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.display();
        let message = format!("others can read the passphrase in {path} (mode {mode:03o}): chmod 600 {path}");
        return Err(Failure::new(Exit::Permission, message));
    }
    first_line(io::BufReader::new(file))
}

fn first_line(source: impl BufRead) -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(String::with_capacity(256));
    io::Read::take(source, MAX_BYTES).read_line(&mut line).or_exit(Exit::NoInput)?;
    let kept = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(kept);
    if line.is_empty() {
        return Err(Failure::new(Exit::Usage, "the passphrase is empty"));
    }
    Ok(line)
}

fn asked(is_new: bool) -> Result<Zeroizing<String>, Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let message = "nobody can be asked for the passphrase here: name a file with --passphrase-file";
        return Err(Failure::new(Exit::Usage, message));
    }
    let passphrase = unseen("Passphrase: ")?;
    if is_new && *unseen("Once more:  ")? != *passphrase {
        return Err(Failure::new(Exit::Usage, "the two are not the same"));
    }
    Ok(passphrase)
}

/// A line from the terminal, which does not show it.
fn unseen(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let stdin = io::stdin();
    let shown = tcgetattr(&stdin).or_exit(Exit::Internal)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    eprint!("{prompt}");
    io::stderr().flush().or_exit(Exit::CannotWrite)?;
    tcsetattr(&stdin, OptionalActions::Flush, &hidden).or_exit(Exit::Internal)?;
    let line = first_line(stdin.lock());
    eprintln!();
    tcsetattr(&stdin, OptionalActions::Flush, &shown).or_exit(Exit::Internal)?;
    line
}
