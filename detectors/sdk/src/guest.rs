//! The component side: generated bindings, and the adapter between them and [`Detector`].
//!
//! Not for direct use; [`export_detector!`](crate::export_detector) refers to it.

use std::cell::RefCell;
use std::marker::PhantomData;

use crate::{Block, Detector, StateKey};

/// Generated from `wit/`.
#[allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated code; it moves values over the component boundary"
)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "netsage-detector",
        pub_export_macro: true,
        default_bindings_module: "netsage_detector_sdk::guest::bindings",
    });
}

use bindings::exports::netsage::detector::detector as wit;

/// The component made of a detector.
pub struct Exported<D>(PhantomData<D>);

/// A session as the host holds it.
pub struct Session<D> {
    // A component is single-threaded and calls do not nest, so the cell is never borrowed twice.
    detector: RefCell<D>,
    columns: usize,
}

impl<D: Detector> wit::Guest for Exported<D> {
    type Session = Session<D>;

    fn describe() -> wit::Description {
        let description = D::describe();
        wit::Description {
            name: description.name.to_owned(),
            version: description.version.to_owned(),
            summary: description.summary.to_owned(),
            licence: description.licence.to_owned(),
            explains: description.explains,
            learns: description.learns,
            state_key: match description.state_key {
                StateKey::None => wit::StateKey::None,
                StateKey::Source => wit::StateKey::Source,
                StateKey::All => wit::StateKey::All,
            },
        }
    }
}

impl<D: Detector> Session<D> {
    fn with<T>(
        &self,
        block: &wit::Block,
        call: impl FnOnce(&mut D, &Block<'_>) -> Result<T, crate::Error>,
    ) -> Result<T, wit::Error> {
        let block = Block::new(block.rows as usize, self.columns, &block.values)?;
        Ok(call(&mut self.detector.borrow_mut(), &block)?)
    }
}

impl<D: Detector> wit::GuestSession for Session<D> {
    fn open(artifact: Vec<u8>, state: Option<Vec<u8>>) -> Result<wit::Session, wit::Error> {
        let detector = D::open(&artifact, state.as_deref())?;
        let columns = detector.columns().len();
        Ok(wit::Session::new(Self {
            detector: RefCell::new(detector),
            columns,
        }))
    }

    fn columns(&self) -> Vec<String> {
        self.detector.borrow().columns()
    }

    fn score(&self, block: wit::Block) -> Result<Vec<f32>, wit::Error> {
        self.with(&block, |detector, block| {
            let mut scores = Vec::with_capacity(block.rows());
            detector.score(block, &mut scores)?;
            Ok(scores)
        })
    }

    fn explain(&self, block: wit::Block, limit: u32) -> Result<wit::Explanation, wit::Error> {
        let explanation = self.with(&block, |detector, block| detector.explain(block, limit as usize))?;
        let entries = explanation.entries();
        Ok(wit::Explanation {
            counts: explanation.counts().to_vec(),
            columns: entries.iter().map(|entry| entry.column as u32).collect(),
            weights: entries.iter().map(|entry| entry.weight).collect(),
            typical: entries.iter().map(|entry| entry.typical).collect(),
        })
    }

    fn learn(&self, block: wit::Block) -> Result<(), wit::Error> {
        self.with(&block, |detector, block| detector.learn(block))
    }

    fn save(&self) -> Result<Vec<u8>, wit::Error> {
        Ok(self.detector.borrow_mut().save()?)
    }
}

impl From<crate::Error> for wit::Error {
    fn from(error: crate::Error) -> Self {
        match error {
            crate::Error::BadArtifact(text) => Self::BadArtifact(text),
            crate::Error::BadInput(text) => Self::BadInput(text),
            crate::Error::Unsupported => Self::Unsupported,
            crate::Error::Internal(text) => Self::Internal(text),
        }
    }
}
