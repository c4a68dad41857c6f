//! A webcam without hardware, for `make rig`: it speaks USB to the kernel's `vhci-hcd`, so that the stock `uvcvideo`
//! driver takes it for a camera; and it does what cameras do when they go wrong. Needs root and those two modules.
//!
//! It runs until told to quit, and is told what to do while it runs:
//!
//! ```text
//! uvcsim draw frames                             draws the scenes, from the pictures in tests/pictures
//! uvcsim run --scenes frames --socket cam.sock   a camera, plugged into port 0
//! uvcsim tell cam.sock show known then empty     somebody walks up once; then nobody is there
//! uvcsim tell cam.sock fault short=3             every third frame is cut short: see `Fault::parse`
//! uvcsim tell cam.sock unplug                    pulled out
//! uvcsim tell cam.sock plug 1                    plugged in again, at another port
//! uvcsim tell cam.sock status                    what it does, as name=value
//! uvcsim tell cam.sock quit
//! ```

mod camera;
mod descriptors;
mod device;
mod draw;
mod scenes;
mod stream;
mod usbip;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};

/// A webcam without hardware.
#[derive(Debug, Parser)]
#[command(name = "uvcsim")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Draw the scenes into a folder
    Draw {
        /// Where to
        folder: PathBuf,
        /// Frames a second that they are to be shown with
        #[arg(long, default_value_t = 15)]
        fps: u32,
    },
    /// Be a camera
    Run(camera::Args),
    /// Tell a running one what to do; prints its answer
    Tell {
        /// Its socket
        socket: PathBuf,
        /// What
        #[arg(required = true, trailing_var_arg = true)]
        words: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Draw { folder, fps } => draw::draw(&folder, fps),
        Command::Run(args) => camera::run(&args),
        Command::Tell { socket, words } => tell(&socket, &words.join(" ")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "uvcsim: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn tell(socket: &std::path::Path, words: &str) -> Result<()> {
    let mut socket =
        UnixStream::connect(socket).with_context(|| format!("no camera listens at {}", socket.display()))?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    writeln!(socket, "{words}")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).context("the camera does not answer")?;
    if let Some(problem) = answer.strip_prefix("error: ") {
        bail!("{}", problem.trim_end());
    }
    std::io::stdout().write_all(answer.as_bytes())?;
    Ok(())
}
