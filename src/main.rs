//! Parse the arguments, run the command, print one error chain, choose the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    match facewarden::cmds::main() {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("facewarden: {failure}");
            failure.exit.into()
        }
    }
}
