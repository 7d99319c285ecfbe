//! Components that were built once for a released version of the contract and are never built again: what ran with the
//! host of that version runs with this one.

use netsage_package::{Package, pack};
use netsage_runtime::{LoadOptions, Runtime};
use netsage_schema::UNSW_NB15;
use netsage_testkit::recipe::CARD;

use crate::{config, rows};

/// Of the world `explaining-learning-detector` of 1.0.0. The first row gets the number of rows that it learned, each other
/// one the value of its first column, `dur`.
const DETECTOR_1_0_0: &[u8] = include_bytes!("../../../../wit/released/detector-1.0.0.wasm");

#[test]
fn the_component_of_1_0_0_runs() {
    let package =
        Package::from_bytes(pack(DETECTOR_1_0_0, b"model", Some(CARD.as_bytes()), None).unwrap()).unwrap();
    let runtime = Runtime::new(config()).unwrap();
    let detector = runtime.load(&package, &UNSW_NB15).unwrap();
    let description = detector.description();
    assert_eq!(
        (description.name.as_str(), description.version.as_str()),
        ("recipe", "1.2.3")
    );
    assert!(description.explains && description.remembers && description.learns);
    let score = |detector: &netsage_runtime::Detector| {
        let mut scores = Vec::new();
        detector.score(&rows(4), None, 0..4, &mut scores).unwrap();
        scores
    };
    assert_eq!(score(&detector), [0.0, 1.0, 2.0, 3.0]);
    detector.learn(&rows(4), None, &[0, 1, 2]).unwrap();
    assert_eq!(score(&detector), [3.0, 1.0, 2.0, 3.0]);
    let explained = detector.explain(&rows(4), None, 2, 5).unwrap();
    assert_eq!((explained[0].column.name, explained[0].value), ("dur", 2.0));
    assert_eq!((explained[0].weight, explained[0].typical), (0.75, 6.0));
    let state = detector.save().unwrap();
    let options = LoadOptions {
        state: state.as_deref(),
        instances: 1,
    };
    let restored = runtime.load_with(&package, &UNSW_NB15, options).unwrap();
    assert_eq!(score(&restored), [3.0, 1.0, 2.0, 3.0]);
}
