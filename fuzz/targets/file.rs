//! Fuzzes `netsage_fuzz::file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| netsage_fuzz::file(data));
