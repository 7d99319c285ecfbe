//! Fuzzes `netsage_fuzz::netflow`. Built without the engine it checks the files that it is given.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| netsage_fuzz::netflow(data));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    netsage_fuzz::check_files(netsage_fuzz::netflow)
}
