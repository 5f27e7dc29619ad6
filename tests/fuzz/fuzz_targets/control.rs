#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| platform_inputs::run("control", bytes));
