//! The `ferrostash` executable.

use std::process::ExitCode;

/// Events are born on one thread and freed on another; this allocator doesn't mind.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Pages of two megabytes, which the allocator asks for, more than doubled the memory and won no time.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    ferrostash::run(std::env::args_os().skip(1), std::env::vars_os())
}
