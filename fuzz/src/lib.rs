//! The inputs of the fuzz targets for the packet path, formats of records and datagrams of exporters, and the properties that must hold for
//! every input.
//!
//! The engine makes bytes; this crate reads them as a file, a packet, or a sequence of packets with times and settings.
//! The form is simple on purpose: a change of one byte changes one thing, so that the engine can learn from it. The
//! corpus in `corpus/` is written in the same form by the program `fuzz-corpus`.
//!
//! Each check panics when an invariant is broken, which the engine keeps as a finding with its input. This crate must
//! never hold an input that its generator did not write: what a run finds becomes a test of the crate it is about.
//!
//! Start with [`meter`], the check with the most to say; `event` is the form of its input.

mod check;
mod event;
mod netflow;
pub mod packets;
mod records;

use std::io;

pub use check::{decode, file, meter};
pub use event::{LINKS, write_head, write_packet};
pub use netflow::netflow;
pub use records::{argus, flow_json, inputs, suricata, zeek};

/// Runs a check on each file named on the command line.
///
/// # Errors
/// When a file cannot be read.
pub fn check_files(check: fn(&[u8])) -> io::Result<()> {
    for path in std::env::args_os().skip(1) {
        check(&std::fs::read(path)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    type Check = fn(&[u8]);

    #[test]
    fn the_corpus_holds() {
        let targets: [(&str, Check); 8] = [
            ("file", crate::file),
            ("decode", crate::decode),
            ("meter", crate::meter),
            ("flow-json", crate::flow_json),
            ("zeek", crate::zeek),
            ("suricata", crate::suricata),
            ("argus", crate::argus),
            ("netflow", crate::netflow),
        ];
        for (target, check) in targets {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
            let mut inputs = 0;
            for entry in std::fs::read_dir(folder).unwrap() {
                check(&std::fs::read(entry.unwrap().path()).unwrap());
                inputs += 1;
            }
            assert!(inputs > 0, "{target} has no corpus");
        }
    }
}
