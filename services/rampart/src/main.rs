//! The production binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    rampart::main()
}
