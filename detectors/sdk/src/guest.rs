//! The component side: generated bindings, and the adapter between them and the traits of this crate.
//!
//! Not for direct use; [`export_detector!`](crate::export_detector) refers to it.

use std::cell::RefCell;
use std::marker::PhantomData;

pub use wit_bindgen;

use crate::{
    Block, Column, Contexts, Detector, Explain, Inputs, Kind, Learn, Remember, Schema, StateKey, Term,
};

/// Generated from the contract, with every interface that a detector can export.
#[allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated code; it moves values over the component boundary"
)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "explaining-learning-detector",
        pub_export_macro: true,
        default_bindings_module: "netsage_detector_sdk::guest::bindings",
    });
}

include!(concat!(env!("OUT_DIR"), "/world.rs"));

use bindings::exports::netsage::detector::{detector as wit, explainer, learner, memory};

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
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        wit::Description {
            name: description.name.to_owned(),
            version: description.version.to_owned(),
            summary: description.summary.to_owned(),
            licence: description.licence.to_owned(),
            state_key: match description.state_key {
                StateKey::None => wit::StateKey::None,
                StateKey::Source => wit::StateKey::Source,
                StateKey::All => wit::StateKey::All,
            },
            properties: description.properties.iter().copied().map(owned).collect(),
        }
    }
}

impl<D: Detector> wit::GuestSession for Session<D> {
    fn open(artifact: Vec<u8>, schema: wit::Schema) -> Result<wit::Session, wit::Error> {
        let detector = D::open(&artifact, &schema.into())?;
        let columns = detector.inputs().columns.len();
        Ok(wit::Session::new(Self {
            detector: RefCell::new(detector),
            columns,
        }))
    }

    fn inputs(&self) -> wit::Inputs {
        let Inputs { columns, context } = self.detector.borrow().inputs();
        wit::Inputs {
            columns,
            context: wit::Context {
                start_time: context.start_time,
                source: context.source,
                destination: context.destination,
            },
        }
    }

    fn score(&self, block: wit::Block) -> Result<Vec<f32>, wit::Error> {
        self.with(&block, |detector, block| {
            let mut scores = Vec::with_capacity(block.rows());
            detector.score(block, &mut scores)?;
            Ok(scores)
        })
    }
}

impl<D: Explain> explainer::Guest for Exported<D> {
    fn explain(
        session: wit::SessionBorrow<'_>,
        block: wit::Block,
        limit: u32,
    ) -> Result<explainer::Explanation, wit::Error> {
        let explanation = session
            .get::<Session<D>>()
            .with(&block, |detector, block| detector.explain(block, limit as usize))?;
        let entries = explanation.entries();
        Ok(explainer::Explanation {
            counts: explanation.counts().to_vec(),
            columns: entries.iter().map(|entry| entry.column as u32).collect(),
            weights: entries.iter().map(|entry| entry.weight).collect(),
            typical: entries.iter().map(|entry| entry.typical).collect(),
        })
    }
}

impl<D: Remember> memory::Guest for Exported<D> {
    fn save(session: wit::SessionBorrow<'_>) -> Result<Vec<u8>, wit::Error> {
        Ok(session.get::<Session<D>>().detector.borrow().save()?)
    }

    fn restore(session: wit::SessionBorrow<'_>, state: Vec<u8>) -> Result<(), wit::Error> {
        let session = session.get::<Session<D>>();
        Ok(session.detector.borrow_mut().restore(&state)?)
    }
}

impl<D: Learn> learner::Guest for Exported<D> {
    fn learn(session: wit::SessionBorrow<'_>, block: wit::Block) -> Result<(), wit::Error> {
        session
            .get::<Session<D>>()
            .with(&block, |detector, block| detector.learn(block))
    }
}

impl<D> Session<D> {
    fn with<T>(
        &self,
        block: &wit::Block,
        call: impl FnOnce(&mut D, &Block<'_>) -> Result<T, crate::Error>,
    ) -> Result<T, wit::Error> {
        let contexts = Contexts {
            start_time: block.start_time.as_deref(),
            source: block.source.as_deref(),
            destination: block.destination.as_deref(),
        };
        let block = Block::new(block.rows as usize, self.columns, &block.values)?.with_contexts(contexts)?;
        Ok(call(&mut self.detector.borrow_mut(), &block)?)
    }
}

impl From<wit::Schema> for Schema {
    fn from(schema: wit::Schema) -> Self {
        let term = |term: wit::Term| Term {
            code: term.code,
            name: term.name,
        };
        let column = |column: wit::Column| Column {
            name: column.name,
            unit: column.unit,
            kind: match column.kind {
                wit::Kind::Nominal => Kind::Nominal(column.terms.into_iter().map(term).collect()),
                wit::Kind::Count => Kind::Count,
                wit::Kind::Continuous => Kind::Continuous,
                wit::Kind::Flag => Kind::Flag,
            },
        };
        Self {
            id: schema.id,
            version: schema.version,
            columns: schema.columns.into_iter().map(column).collect(),
        }
    }
}

impl From<crate::Error> for wit::Error {
    fn from(error: crate::Error) -> Self {
        match error {
            crate::Error::BadArtifact(text) => Self::BadArtifact(text),
            crate::Error::BadState(text) => Self::BadState(text),
            crate::Error::BadInput(text) => Self::BadInput(text),
            crate::Error::Internal(text) => Self::Internal(text),
        }
    }
}
