//! Fuzzes `netsage_fuzz::meter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| netsage_fuzz::meter(data));
