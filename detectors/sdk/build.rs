//! Writes the contract into the macro that `export_detector!` calls in a detector's crate: only a literal reaches
//! the bindings' generator there.

use std::env;
use std::fs;
use std::path::Path;

fn main() {
    let contract = "wit/detector.wit";
    println!("cargo::rerun-if-changed={contract}");
    println!("cargo::rerun-if-changed=build.rs");
    let contract = fs::read_to_string(contract).expect("the contract lies in the crate");
    let source = format!(
        r##"#[doc(hidden)]
#[macro_export]
macro_rules! __world {{
    ($name:literal) => {{
        $crate::guest::wit_bindgen::generate!({{
            inline: {contract:?},
            world: $name,
            runtime_path: "::netsage_detector_sdk::guest::wit_bindgen::rt",
        }});
    }};
}}
"##
    );
    let folder = env::var_os("OUT_DIR").expect("Cargo names it");
    fs::write(Path::new(&folder).join("world.rs"), source).expect("the folder is writable");
}
