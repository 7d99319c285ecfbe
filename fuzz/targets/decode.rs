//! Fuzzes `netsage_fuzz::decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| netsage_fuzz::decode(data));
