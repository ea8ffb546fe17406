//! The `ferrostash` executable.

use std::process::ExitCode;

/// Events are born on one thread and freed on another; this allocator doesn't mind.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ferrostash::run(std::env::args_os().skip(1), std::env::vars_os())
}
