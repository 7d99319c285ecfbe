//! What is built into the program: the dashboard, the detectors and the bundled packages.

use netsage_schema::{FLOW_V1, RECORD_V1, Schema};

mod generated {
    include!(concat!(env!("OUT_DIR"), "/assets.rs"));
}

/// How to get what a program built without `cargo xtask build` lacks.
pub const HOW_TO_BUILD: &str = "this program was built without it; run `cargo xtask build`";

/// The bundled package for captures metered as `unsw-nb15`: an isolation forest of clean generated traffic.
pub const IFOREST_GENERATED: &str = "iforest-generated";

/// The bundled package for captures metered as `flow-v1`: an isolation forest of clean generated traffic.
pub const IFOREST_FLOW_V1: &str = "iforest-flow-v1";

/// Beside it: how regular visits are in clean generated traffic.
pub const RHYTHM_FLOW_V1: &str = "rhythm-flow-v1";

/// The bundled package for records of any meter, and captures metered as `record-v1`: an isolation forest of clean
/// generated traffic.
pub const IFOREST_RECORD_V1: &str = "iforest-record-v1";

/// Beside it: how regular visits are in clean generated traffic.
pub const RHYTHM_RECORD_V1: &str = "rhythm-record-v1";

/// The bundled package for replaying UNSW-NB15: an isolation forest of its ordinary rows.
pub const IFOREST_UNSW_NB15: &str = "iforest-unsw-nb15";

/// The bundled packages that score metered traffic when none is named, by the schema of its rows.
pub fn defaults(schema: &Schema) -> &'static [&'static str] {
    if schema == &FLOW_V1 {
        &[IFOREST_FLOW_V1, RHYTHM_FLOW_V1]
    } else if schema == &RECORD_V1 {
        &[IFOREST_RECORD_V1, RHYTHM_RECORD_V1]
    } else {
        &[IFOREST_GENERATED]
    }
}

/// The bundled packages that score the rows of a table when none is named, by its schema.
pub fn table_defaults(schema: &Schema) -> &'static [&'static str] {
    if schema == &FLOW_V1 || schema == &RECORD_V1 {
        defaults(schema)
    } else {
        &[IFOREST_UNSW_NB15]
    }
}

/// A detector package that comes with the program.
#[derive(Debug)]
pub struct Bundled {
    /// The name by which `--detector` takes it: that of its artifact in `models/artifacts`.
    pub name: &'static str,
    /// The component, shared by all packages of its detector.
    component: &'static [u8],
    /// What makes a package of it: the sections with artifact, card and golden vectors.
    sections: &'static [u8],
}

impl Bundled {
    /// Every bundled package, by name.
    pub fn all() -> &'static [Self] {
        generated::PACKAGES
    }

    /// The bundled package of that name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        Self::all().iter().find(|bundled| bundled.name == name)
    }

    /// The package.
    pub fn bytes(&self) -> Vec<u8> {
        [self.component, self.sections].concat()
    }
}

/// A detector as a bare component, without a model, by the name that it gives itself.
pub fn component(detector: &str) -> Option<&'static [u8]> {
    let mut components = generated::COMPONENTS.iter();
    components
        .find(|(name, _)| *name == detector)
        .map(|(_, bytes)| *bytes)
}

/// The files of the forms that detectors have for the browser: the name of the detector, `/`, the name of the file;
/// content. Ordered by path.
pub fn glue() -> &'static [(&'static str, &'static [u8])] {
    generated::GLUE
}

/// The bare components, by the names that they give themselves.
pub fn components() -> &'static [(&'static str, &'static [u8])] {
    generated::COMPONENTS
}

/// The files of the dashboard: path with `/` between its parts, content; ordered by path.
pub fn dashboard() -> &'static [(&'static str, &'static [u8])] {
    generated::DASHBOARD
}

/// The file of the dashboard at that path.
pub fn dashboard_file(path: &str) -> Option<&'static [u8]> {
    let index = dashboard().binary_search_by(|(name, _)| (*name).cmp(path)).ok()?;
    dashboard().get(index).map(|(_, bytes)| *bytes)
}
