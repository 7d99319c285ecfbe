//! Both schemas say the same of the packets of every capture: real, damaged, handed as a case, and generated.

use std::fs;
use std::path::{Path, PathBuf};

use netsage_capture::file::is_capture;
use netsage_parity::{Agreement, ParityError};

use crate::argus::{generated, real};

/// The captures of a folder of the handed data, where there is one.
fn handed(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data")
        .join(folder);
    let Ok(entries) = fs::read_dir(&folder) else {
        println!("skipped: there is no folder {}", folder.display());
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    // What is packed is read elsewhere.
    paths.retain(|path| is_capture(&fs::read(path).unwrap()));
    paths.sort();
    paths
}

fn check(name: &str, paths: &[PathBuf]) -> Agreement {
    let mut agreement = Agreement::default();
    for path in paths {
        for decapsulate in [false, true] {
            match agreement.add(path, decapsulate) {
                Ok(()) | Err(ParityError::Damaged { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    println!("{name} captures\n{agreement}");
    assert!(agreement.differences.is_empty(), "{name}: {agreement}");
    agreement
}

#[test]
fn both_schemas_say_the_same_of_every_session() {
    check("real", &real());
    check("damaged", &handed("pcaps/malformed"));
    check("other", &handed("cases/captures"));
    let generated = check("generated", &generated());
    assert!(generated.parted > 0 && generated.packets_with_more > 0);
}
