//! The requirement: 99.9 % of all records match, and 99.9 % of the cells of matched records are equal.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use netsage_parity::{Comparison, Defect, ParityError, Record, Report, argus, cases, ours};

/// What has to be equal, of cells and of records.
const REQUIRED: f64 = 0.999;
/// Argus takes a second per capture, and sleeps for most of it.
const AT_ONCE: usize = 8;

struct Metered {
    name: String,
    argus: Vec<Record>,
    ours: ours::Metered,
}

/// Argus looks into GRE, and into no other tunnel; the meter does so for all of them or for none.
pub(crate) fn opens_tunnels(path: &Path) -> bool {
    path.to_string_lossy().contains("gre")
}

fn meter(path: &Path) -> Option<Metered> {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    match argus::records(path) {
        Ok(argus) => Some(Metered {
            ours: ours::records(path, opens_tunnels(path)).unwrap(),
            name,
            argus,
        }),
        Err(error @ ParityError::Unreadable { .. }) => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Compares captures, several at once; the order is that of the paths.
fn compare(paths: &[PathBuf]) -> Comparison {
    let metered = Mutex::new(Vec::new());
    let next = Mutex::new(paths.iter().enumerate());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((index, path)) = next.lock().unwrap().next() else {
                        return;
                    };
                    let capture = meter(path);
                    metered.lock().unwrap().push((index, capture));
                }
            });
        }
    });
    let mut metered = metered.into_inner().unwrap();
    metered.sort_by_key(|(index, _)| *index);
    let mut comparison = Comparison::new();
    for capture in metered.into_iter().filter_map(|(_, capture)| capture) {
        comparison.add(&capture.name, &capture.argus, &capture.ours);
    }
    comparison
}

fn check(comparison: &Comparison) {
    let report = Report {
        comparison,
        listed: 40,
    };
    println!("{report}");
    assert!(comparison.matched_share() >= REQUIRED, "{report}");
    assert!(comparison.equal_share() >= REQUIRED, "{report}");
}

pub(crate) fn real() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/pcaps/good");
    let Ok(entries) = fs::read_dir(&folder) else {
        println!("skipped: there is no folder {}", folder.display());
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

pub(crate) fn generated() -> Vec<PathBuf> {
    cases::write_all(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("parity-cases")).unwrap()
}

/// The defects of Argus that cost a cell in these captures.
fn defects(comparison: &Comparison) -> Vec<Defect> {
    let counted = Defect::ALL.into_iter().zip(comparison.left_out);
    counted
        .filter(|(_, cells)| *cells > 0)
        .map(|(defect, _)| defect)
        .collect()
}

#[test]
fn rows_are_those_of_argus() {
    if !argus::is_installed() {
        println!("skipped: argus-server and argus-client are not installed");
        return;
    }
    let generated = compare(&generated());
    println!("generated captures");
    check(&generated);
    // What is left out is what the documents say, and every class of it occurs.
    assert_eq!(
        defects(&generated),
        [
            Defect::NotANumber,
            Defect::StaleWindow,
            Defect::SinceTheEpoch,
            Defect::SwappedEnds,
            Defect::LoadsOfTurned,
        ]
    );
    let real = compare(&real());
    println!("real captures");
    check(&real);
    let mut all = generated;
    all.join(real);
    println!("all captures");
    check(&all);
}
