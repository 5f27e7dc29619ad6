//! The production binary.

use std::process::ExitCode;

/// Scans parse and drop many short-lived trees on many threads, from which the system's allocator keeps twice the room.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    rampart::main()
}
