//! What is built into the program: the dashboard and the bundled detectors.

mod generated {
    include!(concat!(env!("OUT_DIR"), "/assets.rs"));
}

/// How to get what a program built without `cargo xtask build` lacks.
pub const HOW_TO_BUILD: &str = "this program was built without it; run `cargo xtask build`";

/// A detector package that comes with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bundled {
    /// Isolation forest trained on the ordinary rows of UNSW-NB15: for replaying that data.
    IforestUnswNb15,
    /// Isolation forest trained on clean generated traffic: for captures.
    IforestGenerated,
}

impl Bundled {
    /// Every bundled package.
    pub const ALL: [Self; 2] = [Self::IforestUnswNb15, Self::IforestGenerated];

    /// The name by which `--detector` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IforestUnswNb15 => "iforest-unsw-nb15",
            Self::IforestGenerated => "iforest-generated",
        }
    }

    /// The bundled package of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bundled| bundled.name() == name)
    }

    /// The package, unless the program was built without it.
    pub fn bytes(self) -> Option<&'static [u8]> {
        match self {
            Self::IforestUnswNb15 => generated::IFOREST_UNSW_NB15,
            Self::IforestGenerated => generated::IFOREST_GENERATED,
        }
    }
}

/// The isolation forest as a bare component, without a model.
pub fn iforest_component() -> Option<&'static [u8]> {
    generated::IFOREST_COMPONENT
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
