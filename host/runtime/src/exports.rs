//! What a component exports of the contract, looked up once for each component.

use netsage_schema::{Kind, Schema};
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{AsContextMut, Store};

use crate::bindings::exports::netsage::detector::{detector, explainer, learner, memory};
use crate::engine::Usage;
use crate::error::LoadError;

/// A component that is ready to be instantiated, and where its functions are.
#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) component: InstancePre<Usage>,
    detector: detector::GuestIndices,
    explainer: Option<explainer::GuestIndices>,
    memory: Option<memory::GuestIndices>,
    learner: Option<learner::GuestIndices>,
}

/// The functions of one instance.
pub(crate) struct Exports {
    pub(crate) detector: detector::Guest,
    pub(crate) explainer: Option<explainer::Guest>,
    pub(crate) memory: Option<memory::Guest>,
    pub(crate) learner: Option<learner::Guest>,
}

impl Code {
    /// Looks up the interfaces of the contract.
    ///
    /// # Errors
    /// [`LoadError::OtherWorld`] when an exported interface has other functions or types than the contract, and
    /// [`LoadError::BeforeRelease`] when its functions are those of the contract before its release.
    pub(crate) fn new(component: InstancePre<Usage>) -> Result<Self, LoadError> {
        let exported = |name: &str| {
            let name = format!("netsage:detector/{name}@1.0.0");
            component.component().get_export_index(None, &name)
        };
        let draft = exported("detector").and_then(|detector| {
            component
                .component()
                .get_export_index(Some(&detector), "[method]session.columns")
        });
        if draft.is_some() {
            return Err(LoadError::BeforeRelease);
        }
        let has = |name| exported(name).is_some();
        Ok(Self {
            detector: detector::GuestIndices::new(&component).map_err(other_world)?,
            explainer: has("explainer")
                .then(|| explainer::GuestIndices::new(&component))
                .transpose()
                .map_err(other_world)?,
            memory: has("memory")
                .then(|| memory::GuestIndices::new(&component))
                .transpose()
                .map_err(other_world)?,
            learner: has("learner")
                .then(|| learner::GuestIndices::new(&component))
                .transpose()
                .map_err(other_world)?,
            component,
        })
    }

    pub(crate) fn explains(&self) -> bool {
        self.explainer.is_some()
    }

    pub(crate) fn remembers(&self) -> bool {
        self.memory.is_some()
    }

    pub(crate) fn learns(&self) -> bool {
        self.learner.is_some()
    }

    /// The functions of an instance of it.
    ///
    /// # Errors
    /// [`LoadError::OtherWorld`] when one has other types than the contract.
    pub(crate) fn exports(
        &self,
        store: &mut Store<Usage>,
        instance: &Instance,
    ) -> Result<Exports, LoadError> {
        let mut load = || {
            Ok(Exports {
                detector: self.detector.load(store.as_context_mut(), instance)?,
                explainer: self
                    .explainer
                    .as_ref()
                    .map(|indices| indices.load(store.as_context_mut(), instance))
                    .transpose()?,
                memory: self
                    .memory
                    .as_ref()
                    .map(|indices| indices.load(store.as_context_mut(), instance))
                    .transpose()?,
                learner: self
                    .learner
                    .as_ref()
                    .map(|indices| indices.load(store.as_context_mut(), instance))
                    .transpose()?,
            })
        };
        load().map_err(other_world)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in `map_err`")]
fn other_world(error: wasmtime::Error) -> LoadError {
    LoadError::OtherWorld(format!("{error:#}"))
}

/// Calls `open` with a schema as the contract has it.
pub(crate) fn with_schema<T>(schema: &Schema, open: impl FnOnce(detector::Schema<'_>) -> T) -> T {
    let terms: Vec<Vec<detector::Term<'_>>> = schema
        .columns
        .iter()
        .map(|column| {
            let terms = column.vocabulary().map_or(&[][..], |vocabulary| vocabulary.terms);
            let term = |(code, &name)| detector::Term { code, name };
            (0..).zip(terms).map(term).collect()
        })
        .collect();
    let columns: Vec<detector::Column<'_>> = schema
        .columns
        .iter()
        .zip(&terms)
        .map(|(column, terms)| detector::Column {
            name: column.name,
            unit: column.unit,
            kind: match column.kind {
                Kind::Nominal(_) => detector::Kind::Nominal,
                Kind::Count => detector::Kind::Count,
                Kind::Continuous => detector::Kind::Continuous,
                Kind::Flag => detector::Kind::Flag,
            },
            terms,
        })
        .collect();
    open(detector::Schema {
        id: schema.id,
        version: schema.version,
        columns: &columns,
    })
}
