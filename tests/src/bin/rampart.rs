//! The production binary under the name by which Cargo builds it for the tests of this package.

use std::process::ExitCode;

fn main() -> ExitCode {
    rampart::main()
}
