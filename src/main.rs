//! Parse the arguments, run the command, print one error chain, choose the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    match facewarden::cmds::main() {
        Ok(exit) => exit.into(),
        Err(failure) => {
            // Where nobody hears it, the exit code still says it.
            facewarden::sys::logging::last_words(&failure.to_string());
            failure.exit.into()
        }
    }
}
