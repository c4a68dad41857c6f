//! Parse the arguments, run the command, print one error chain, choose the exit code.

fn main() {}
