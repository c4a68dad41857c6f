//! Parse the arguments, run the command, print one error chain, choose the exit code.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match facewarden::cmds::main() {
        Ok(exit) => exit.into(),
        Err(failure) => {
            // Where nobody hears it (a terminal that was closed), the exit code still says it.
            drop(writeln!(std::io::stderr(), "facewarden: {failure}"));
            failure.exit.into()
        }
    }
}
