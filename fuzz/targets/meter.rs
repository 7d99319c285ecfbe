//! Fuzzes `netsage_fuzz::meter`. Built without the engine it checks the files that it is given.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| netsage_fuzz::meter(data));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    netsage_fuzz::check_files(netsage_fuzz::meter)
}
