//! The `ferrostash` executable.

use std::process::ExitCode;

fn main() -> ExitCode {
    ferrostash::run(std::env::args_os().skip(1), std::env::vars_os())
}
