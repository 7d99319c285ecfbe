//! The detectors this program knows: where packages come from, which are active, and what each has done.
//!
//! A package is first checked and loaded, then *available*; activating it makes it *active* in one step, in
//! place of the one of the same name. A block of flows is scored with the detectors active when its scoring
//! starts, all of it, so that no flow is missed or scored twice at a change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::{fs, io};

use netsage_api_types::{Activated, DetectorInfo, DetectorRef, FailurePolicy, ModelCard, Stage, Step};
use netsage_lifecycle::lineup::Slot;
use netsage_lifecycle::{Generation, Lineup, Roster};
use netsage_runtime::browser::{self, BrowserError, BrowserModule};
use netsage_runtime::{ActiveDetectors, Detector, LoadError, Package, PackageError, Runtime};
use netsage_schema::{Schema, UNSW_NB15};

use crate::assets::{self, Bundled};

/// Packages held at once; each costs its size and its compiled code in memory.
const MOST_PACKAGES: usize = 64;

/// Why a package cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// Neither a file nor the name of a bundled package.
    #[error("cannot read the detector package {}: {source}; the bundled ones are {}", path.display(), bundled_names())]
    Read {
        /// What was named.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A bundled package that this program was built without.
    #[error("the bundled detector package `{name}` is missing: {}", assets::HOW_TO_BUILD)]
    NotBuilt {
        /// Its name.
        name: &'static str,
    },
    /// Not a package.
    #[error("{origin}: {source}")]
    Package {
        /// File or bundled name.
        origin: String,
        /// What is wrong.
        source: PackageError,
    },
    /// A package that this host does not take.
    #[error("{origin}: {source}")]
    Load {
        /// File or bundled name.
        origin: String,
        /// Why not.
        source: LoadError,
    },
    /// The card in the package is not a model card.
    #[error("{origin}: the model card in the package cannot be read: {message}")]
    Card {
        /// File or bundled name.
        origin: String,
        /// What is wrong.
        message: String,
    },
    /// Two packages to score with have one name, of which only one can be active.
    #[error(
        "{origin}: a detector called `{name}` was named before it; only one of a name can score, so leave one out"
    )]
    SameName {
        /// The second one: file or bundled name.
        origin: String,
        /// What both call themselves.
        name: String,
    },
    /// There are too many.
    #[error(
        "this program holds {MOST_PACKAGES} packages already; restart it to forget those that are not in use"
    )]
    Full,
}

fn bundled_names() -> String {
    Bundled::ALL
        .map(|bundled| format!("`{}`", bundled.name()))
        .join(" and ")
}

/// A loaded package.
pub struct Loaded {
    /// What runs it.
    pub detector: Arc<Detector>,
    /// Name, version and digest.
    pub reference: DetectorRef,
    /// The card in the package.
    pub card: Option<ModelCard>,
    /// Score above which a flow raises an alert; `f32::MAX` when neither card nor settings give one.
    pub threshold: f32,
    package: Package,
    /// Its form for the browser, made when first asked for.
    browser: OnceLock<Arc<BrowserModule>>,
    /// Its activation, from the first time on.
    generation: OnceLock<Arc<Generation>>,
}

impl Loaded {
    /// Its form for the browser; made once, which takes a moment.
    ///
    /// # Errors
    /// When the component has no such form.
    pub fn browser_module(&self) -> Result<Arc<BrowserModule>, BrowserError> {
        if let Some(module) = self.browser.get() {
            return Ok(Arc::clone(module));
        }
        let module = Arc::new(browser::transpile(&self.package)?);
        Ok(Arc::clone(self.browser.get_or_init(|| module)))
    }

    /// The package.
    pub fn package(&self) -> &Package {
        &self.package
    }
}

/// Reads a package: a file, or the name of a bundled one.
///
/// # Errors
/// When it cannot be read or is no package.
pub fn read_package(origin: &str) -> Result<Package, CatalogError> {
    let bytes = match Bundled::by_name(origin) {
        Some(bundled) => bundled
            .bytes()
            .ok_or(CatalogError::NotBuilt { name: bundled.name() })?
            .to_vec(),
        None => fs::read(origin).map_err(|source| CatalogError::Read {
            path: Path::new(origin).to_path_buf(),
            source,
        })?,
    };
    Package::from_bytes(bytes).map_err(|source| CatalogError::Package {
        origin: origin.to_owned(),
        source,
    })
}

/// The schema that a package was trained on by its card, `unsw-nb15` where it has none.
pub fn schema_of(package: &Package) -> &'static Schema {
    let card = package
        .card()
        .and_then(|json| serde_json::from_slice::<ModelCard>(json).ok());
    card.and_then(|card| Schema::by_id(card.schema.split('@').next()?))
        .unwrap_or(&UNSW_NB15)
}

/// The packages of this program.
pub struct Catalog {
    runtime: Arc<Runtime>,
    schema: &'static Schema,
    active: ActiveDetectors,
    roster: Arc<Roster>,
    thresholds: BTreeMap<String, f32>,
    packages: RwLock<BTreeMap<String, Arc<Loaded>>>,
}

impl Catalog {
    /// An empty catalog of detectors for rows of `schema`; `thresholds` win over those of the cards.
    pub fn new(runtime: Arc<Runtime>, schema: &'static Schema, thresholds: BTreeMap<String, f32>) -> Self {
        Self {
            runtime,
            schema,
            active: ActiveDetectors::default(),
            roster: Arc::default(),
            thresholds,
            packages: RwLock::default(),
        }
    }

    /// Checks and loads a package; afterwards it is available. `origin` is for messages. A package that is
    /// there already is given as it is. This compiles code and may take a second.
    ///
    /// # Errors
    /// When this host does not take the package.
    pub fn add(&self, origin: &str, package: Package) -> Result<Arc<Loaded>, CatalogError> {
        let digest = package.digest().to_string();
        if let Some(known) = self.get(&digest) {
            return Ok(known);
        }
        if self.read().len() >= MOST_PACKAGES {
            return Err(CatalogError::Full);
        }
        let card = match package.card() {
            Some(json) => {
                Some(
                    serde_json::from_slice::<ModelCard>(json).map_err(|error| CatalogError::Card {
                        origin: origin.to_owned(),
                        message: error.to_string(),
                    })?,
                )
            }
            None => None,
        };
        let detector = self
            .runtime
            .load(&package, self.schema)
            .map_err(|source| CatalogError::Load {
                origin: origin.to_owned(),
                source,
            })?;
        let description = detector.description();
        let threshold = self
            .thresholds
            .get(&description.name)
            .copied()
            .or_else(|| card.as_ref().map(|card| card.threshold))
            .unwrap_or(f32::MAX);
        let reference = DetectorRef {
            name: description.name.clone(),
            version: description.version.clone(),
            digest: digest.clone(),
            generation: 0,
        };
        let loaded = Arc::new(Loaded {
            detector,
            reference,
            card,
            threshold,
            package,
            browser: OnceLock::new(),
            generation: OnceLock::new(),
        });
        let mut packages = self.packages.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(packages.entry(digest).or_insert(loaded)))
    }

    /// The package of that digest.
    pub fn get(&self, digest: &str) -> Option<Arc<Loaded>> {
        self.read().get(digest).cloned()
    }

    /// Makes a package score from the next block on, in place of the one of the same name.
    pub fn activate(&self, loaded: &Arc<Loaded>) -> Activated {
        let replaced = self.active.activate(Arc::clone(&loaded.detector));
        self.publish();
        let replaced = replaced
            .and_then(|detector| self.get(&detector.digest().to_string()))
            .filter(|previous| previous.reference.digest != loaded.reference.digest);
        Activated {
            active: loaded.reference.clone(),
            replaced: replaced.map(|previous| previous.reference.clone()),
        }
    }

    /// Where the pipeline sees who is active.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    fn publish(&self) {
        let slots = self.active().into_iter().enumerate().map(|(place, loaded)| {
            let generation = loaded.generation.get_or_init(|| {
                let loaded = netsage_lifecycle::Loaded {
                    detector: Arc::clone(&loaded.detector),
                    reference: loaded.reference.clone(),
                    card: loaded.card.clone(),
                    threshold: loaded.threshold,
                };
                Arc::new(Generation::new(place as u64 + 1, Arc::new(loaded)))
            });
            Slot {
                active: Some(Arc::clone(generation)),
                ..Slot::new(&loaded.reference.name, FailurePolicy::Open)
            }
        });
        let slots = slots.collect();
        self.roster.publish(Lineup { slots });
    }

    /// The active detectors, as one consistent set.
    pub fn active(&self) -> Vec<Arc<Loaded>> {
        let snapshot = self.active.snapshot();
        let packages = self.read();
        snapshot
            .iter()
            .filter_map(|detector| packages.get(&detector.digest().to_string()).cloned())
            .collect()
    }

    /// Every package, active ones first, then by name and digest.
    pub fn list(&self) -> Vec<DetectorInfo> {
        let active: Vec<String> = self
            .active()
            .iter()
            .map(|loaded| loaded.reference.digest.clone())
            .collect();
        let mut list: Vec<DetectorInfo> = self
            .read()
            .values()
            .map(|loaded| {
                let is_active = active.contains(&loaded.reference.digest);
                describe(loaded, if is_active { Stage::Active } else { Stage::Warm })
            })
            .collect();
        list.sort_by_cached_key(|info| {
            (
                info.stage != Stage::Active,
                info.detector.name.clone(),
                info.detector.digest.clone(),
            )
        });
        list
    }

    /// What is known about one package.
    pub fn info(&self, loaded: &Loaded) -> DetectorInfo {
        let is_active = self
            .active()
            .iter()
            .any(|active| active.reference == loaded.reference);
        describe(loaded, if is_active { Stage::Active } else { Stage::Warm })
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<Loaded>>> {
        self.packages.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe(loaded: &Loaded, stage: Stage) -> DetectorInfo {
    let description = loaded.detector.description();
    let stats = loaded.detector.stats();
    DetectorInfo {
        detector: loaded.reference.clone(),
        summary: description.summary.clone(),
        licence: description.licence.clone(),
        explains: description.explains,
        learns: description.learns,
        columns: loaded
            .detector
            .columns()
            .iter()
            .map(|column| column.name.to_owned())
            .collect(),
        size: loaded.package.bytes().len() as u64,
        stage,
        since: 0,
        next: if stage == Stage::Active {
            Vec::new()
        } else {
            vec![Step::Promote]
        },
        under_way: None,
        share: None,
        why: String::new(),
        previous: None,
        on_failure: FailurePolicy::Open,
        threshold: (loaded.threshold < f32::MAX).then_some(loaded.threshold),
        card: loaded.card.clone(),
        scored: loaded
            .generation
            .get()
            .map_or(0, |generation| generation.tally.rows()),
        failed: loaded
            .generation
            .get()
            .map_or(0, |generation| generation.tally.failed_rows()),
        replaced_instances: stats.replaced_instances,
        nanoseconds_per_row: stats.nanoseconds_per_row(),
    }
}
