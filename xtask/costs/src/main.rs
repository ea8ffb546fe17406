//! Runs every case for callgrind, which counts the instructions of each call to `measured_batch`.

use anyhow::Result;
use ferrostash_costs::{MEASURED_BATCHES, WARM_UP_BATCHES, cases};
use std::ops::ControlFlow;

/// The allocator of the `ferrostash` executable.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    for case in cases() {
        let mut batches = 0;
        case.run(|work| {
            batches += 1;
            match batches <= WARM_UP_BATCHES {
                true => work(),
                false => measured_batch(work),
            }
            match batches < WARM_UP_BATCHES + MEASURED_BATCHES {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
    }
    Ok(())
}

/// callgrind is told this name; a call to it is one measurement.
#[inline(never)]
fn measured_batch(work: &mut dyn FnMut()) {
    work();
}
