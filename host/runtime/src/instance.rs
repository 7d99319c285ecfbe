//! One running instance of a detector: every call under a deadline, every answer checked.

use std::time::Duration;

use netsage_schema::Schema;
use wasmtime::component::ResourceAny;
use wasmtime::{Store, Trap};

use crate::bindings::exports::netsage::detector::detector::{Error, Inputs};
use crate::bindings::exports::netsage::detector::explainer::Explanation;
use crate::columns::{InputBlock, Projection};
use crate::description::{Description, check_description};
use crate::engine::{LimitReached, MUCH_FUEL, Sandbox, Usage};
use crate::error::{GuestFailure, LoadError};
use crate::exports::{Code, Exports, with_schema};

/// Longest text of a detector that is kept, bytes.
const MAX_TEXT_BYTES: usize = 1024;
/// Rounding slack for shares that sum to 1.
const SHARE_SLACK: f32 = 1e-3;
/// The largest saved state, bytes (a promise of the contract).
const MAX_STATE_BYTES: usize = 16 << 20;

/// What wasmtime says of an answer beyond the limit; its error has no type to ask for.
const TOO_MUCH: &str = "fuel allocated for hostcalls has been exhausted";
/// What wasmtime says, likewise without a type, of more instances, memories or tables than there may be, with what
/// says how many.
const TOO_MANY: [(&str, &str); 3] = [
    ("instance count too high", "detector-core-instances"),
    ("memory count too high", "RuntimeConfig::memory_count_limit"),
    ("table count too high", "RuntimeConfig::table_count_limit"),
];

/// How long calls may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budgets {
    /// Starting an instance and opening its artifact.
    pub(crate) open: Duration,
    /// Any other call.
    pub(crate) call: Duration,
    /// On top of `call`, for each row.
    pub(crate) row: Duration,
}

impl Budgets {
    fn rows(&self, rows: u32) -> Duration {
        self.call + self.row * rows
    }
}

/// An instance that has started and has no model yet.
pub(crate) struct Started {
    store: Store<Usage>,
    exports: Exports,
}

/// An instance with its model opened.
pub(crate) struct Instance {
    started: Started,
    session: ResourceAny,
    /// The block of the current call; its memory is kept from call to call.
    pub(crate) block: InputBlock,
}

impl Started {
    pub(crate) fn new(sandbox: &Sandbox, code: &Code, budgets: &Budgets) -> Result<Self, LoadError> {
        // The deadline is set before instantiation, because a start function runs then.
        let mut store = sandbox
            .store(budgets.open)
            .map_err(|error| failure("instantiate", budgets.open, &error))?;
        let instance = code
            .component
            .instantiate(&mut store)
            .map_err(|error| failure("instantiate", budgets.open, &error))?;
        let exports = code.exports(&mut store, &instance)?;
        Ok(Self { store, exports })
    }

    /// What the detector says about itself, when that is well-formed.
    pub(crate) fn describe(
        &mut self,
        sandbox: &Sandbox,
        budgets: &Budgets,
        code: &Code,
    ) -> Result<Description, GuestFailure> {
        self.store.set_epoch_deadline(sandbox.ticks(budgets.call));
        let described = self
            .exports
            .detector
            .call_describe(&mut self.store)
            .map_err(|error| failure("describe", budgets.call, &error))?;
        check_description(described, code)
    }

    pub(crate) fn open(
        mut self,
        sandbox: &Sandbox,
        budgets: &Budgets,
        artifact: &[u8],
        schema: &Schema,
    ) -> Result<Instance, GuestFailure> {
        self.store.set_epoch_deadline(sandbox.ticks(budgets.open));
        let session = with_schema(schema, |schema| {
            self.exports
                .detector
                .session()
                .call_open(&mut self.store, artifact, schema)
        })
        .map_err(|error| failure("open", budgets.open, &error))?
        .map_err(|error| refusal("open", error))?;
        Ok(Instance {
            started: self,
            session,
            block: InputBlock::default(),
        })
    }
}

impl Instance {
    /// What it wants to be given, not yet looked up.
    pub(crate) fn inputs(&mut self, sandbox: &Sandbox, budgets: &Budgets) -> Result<Inputs, GuestFailure> {
        let Started { store, exports } = &mut self.started;
        store.set_epoch_deadline(sandbox.ticks(budgets.call));
        exports
            .detector
            .session()
            .call_inputs(store, self.session)
            .map_err(|error| failure("inputs", budgets.call, &error))
    }

    /// Scores the block at hand and appends exactly one finite score for each of its rows, or none and fails.
    pub(crate) fn score(
        &mut self,
        sandbox: &Sandbox,
        budgets: &Budgets,
        scores: &mut Vec<f32>,
    ) -> Result<(), GuestFailure> {
        let Started { store, exports } = &mut self.started;
        let rows = self.block.rows();
        let budget = budgets.rows(rows);
        store.set_epoch_deadline(sandbox.ticks(budget));
        let given = exports
            .detector
            .session()
            .call_score(store, self.session, self.block.lend())
            .map_err(|error| failure("score", budget, &error))?
            .map_err(|error| refusal("score", error))?;
        if given.len() != rows as usize {
            return Err(GuestFailure::WrongCount {
                call: "score",
                scores: given.len(),
                rows: rows as usize,
            });
        }
        // No early exit: this runs over every score, and only so does it vectorise.
        if !given
            .iter()
            .fold(true, |finite, score| finite & score.is_finite())
        {
            let row = given
                .iter()
                .position(|score| !score.is_finite())
                .unwrap_or_default();
            return Err(GuestFailure::NotFinite {
                call: "score",
                row,
                value: given[row].to_string(),
            });
        }
        scores.extend_from_slice(&given);
        Ok(())
    }

    /// Lets it learn from the block at hand, when it learns.
    pub(crate) fn learn(&mut self, sandbox: &Sandbox, budgets: &Budgets) -> Result<(), GuestFailure> {
        let Started { store, exports } = &mut self.started;
        let Some(learner) = &exports.learner else {
            return Ok(());
        };
        let budget = budgets.rows(self.block.rows());
        store.set_epoch_deadline(sandbox.ticks(budget));
        learner
            .call_learn(store, self.session, self.block.lend())
            .map_err(|error| failure("learn", budget, &error))?
            .map_err(|error| refusal("learn", error))
    }

    /// What it remembers, of a size that the contract allows; `None` when it has no memory.
    pub(crate) fn save(
        &mut self,
        sandbox: &Sandbox,
        budgets: &Budgets,
    ) -> Result<Option<Vec<u8>>, GuestFailure> {
        let Started { store, exports } = &mut self.started;
        let Some(memory) = &exports.memory else {
            return Ok(None);
        };
        store.set_epoch_deadline(sandbox.ticks(budgets.open));
        // A state is larger than anything else that is handed over; one that is too large by far ends in a failure.
        let usual = store.hostcall_fuel();
        store.set_hostcall_fuel(2 * MAX_STATE_BYTES);
        let saved = memory.call_save(&mut *store, self.session);
        store.set_hostcall_fuel(usual);
        let state = saved
            .map_err(|error| failure("save", budgets.open, &error))?
            .map_err(|error| refusal("save", error))?;
        if state.len() > MAX_STATE_BYTES {
            return Err(broken(
                "save",
                format!("a state of {} bytes; {MAX_STATE_BYTES} are allowed", state.len()),
            ));
        }
        Ok(Some(state))
    }

    /// Has it go on with a saved state, when it has a memory. After a failure the instance is used no more.
    pub(crate) fn restore(
        &mut self,
        sandbox: &Sandbox,
        budgets: &Budgets,
        state: &[u8],
    ) -> Result<(), GuestFailure> {
        let Started { store, exports } = &mut self.started;
        let Some(memory) = &exports.memory else {
            return Ok(());
        };
        store.set_epoch_deadline(sandbox.ticks(budgets.open));
        memory
            .call_restore(store, self.session, state)
            .map_err(|error| failure("restore", budgets.open, &error))?
            .map_err(|error| refusal("restore", error))
    }

    /// Instructions since the instance was started, where they are counted.
    pub(crate) fn instructions(&self) -> u64 {
        self.started.store.get_fuel().map_or(0, |left| MUCH_FUEL - left)
    }

    /// Explains the one row of the block at hand, as far as it explains: entries that are in range and finite, or a
    /// failure.
    pub(crate) fn explain(
        &mut self,
        sandbox: &Sandbox,
        budgets: &Budgets,
        projection: &Projection,
        limit: u32,
    ) -> Result<Option<Explanation>, GuestFailure> {
        let Started { store, exports } = &mut self.started;
        let Some(explainer) = &exports.explainer else {
            return Ok(None);
        };
        let budget = budgets.rows(1);
        store.set_epoch_deadline(sandbox.ticks(budget));
        let explanation = explainer
            .call_explain(store, self.session, self.block.lend(), limit)
            .map_err(|error| failure("explain", budget, &error))?
            .map_err(|error| refusal("explain", error))?;
        check_explanation(explanation, projection.inputs(), limit).map(Some)
    }
}

fn check_explanation(
    explanation: Explanation,
    inputs: usize,
    limit: u32,
) -> Result<Explanation, GuestFailure> {
    let Explanation {
        counts,
        columns: indices,
        weights,
        typical,
    } = &explanation;
    let entries = indices.len();
    let wrong = if counts.as_slice() != [entries as u32] {
        Some(format!(
            "the counts {:?} do not say {entries} entries for one row",
            &counts[..counts.len().min(4)]
        ))
    } else if entries > limit as usize {
        Some(format!("{entries} entries where {limit} were asked for"))
    } else if weights.len() != entries || typical.len() != entries {
        Some(format!(
            "lists of {entries}, {} and {} entries",
            weights.len(),
            typical.len()
        ))
    } else if indices.iter().any(|&index| index as usize >= inputs) {
        Some(format!("an input beyond the {inputs} that there are"))
    } else if !weights.iter().all(|weight| (0.0..=1.0).contains(weight)) {
        Some("a share that is not between 0 and 1".to_owned())
    } else if weights.iter().sum::<f32>() > 1.0 + SHARE_SLACK {
        Some("shares of more than 1 together".to_owned())
    } else if !typical.iter().all(|value| value.is_finite()) {
        Some("a typical value that is not finite".to_owned())
    } else {
        None
    };
    wrong.map_or(Ok(explanation), |what| Err(broken("explain", what)))
}

fn broken(call: &'static str, what: String) -> GuestFailure {
    GuestFailure::BadReturn { call, what }
}

fn refusal(call: &'static str, error: Error) -> GuestFailure {
    let (kind, text) = match error {
        Error::BadArtifact(text) => ("bad-artifact", text),
        Error::BadState(text) => ("bad-state", text),
        Error::BadInput(text) => ("bad-input", text),
        Error::Internal(text) => ("internal", text),
    };
    GuestFailure::Refused {
        call,
        kind,
        text: clean(&text),
    }
}

/// A failed call: interrupted, at a limit, trapped, or a value that could not be taken over.
fn failure(call: &'static str, budget: Duration, error: &wasmtime::Error) -> GuestFailure {
    if let Some(Trap::Interrupt) = error.downcast_ref::<Trap>() {
        return GuestFailure::Overrun { call, budget };
    }
    if let Some(reached) = error.downcast_ref::<LimitReached>() {
        return GuestFailure::Limit {
            call,
            setting: reached.setting,
            what: reached.to_string(),
        };
    }
    let root = error.root_cause().to_string();
    if let Some((_, setting)) = TOO_MANY.iter().find(|(words, _)| root.contains(words)) {
        return GuestFailure::Limit {
            call,
            setting,
            what: clean(&root),
        };
    }
    if root.contains(TOO_MUCH) {
        return broken(call, "it handed over more at once than the host takes".to_owned());
    }
    GuestFailure::Trap {
        call,
        reason: clean(&format!("{error:#}")),
    }
}

/// Foreign text for a log or a person: short, and nothing that a terminal would act on.
fn clean(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_TEXT_BYTES);
    text[..end]
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{check_explanation, clean};
    use crate::bindings::exports::netsage::detector::explainer::Explanation;

    #[test]
    fn foreign_text_is_cut_and_cleaned() {
        assert_eq!(clean("a\u{1b}[31m\nb"), "a [31m b");
        assert!(clean(&"\u{20ac}".repeat(1000)).len() <= 1024);
    }

    #[test]
    fn explanations() {
        let check = |counts: &[u32], columns: &[u32], weights: &[f32], typical: &[f32], expected: &str| {
            let explanation = Explanation {
                counts: counts.to_vec(),
                columns: columns.to_vec(),
                weights: weights.to_vec(),
                typical: typical.to_vec(),
            };
            let said = check_explanation(explanation, 3, 2)
                .map_or_else(|error| error.to_string(), |_| String::new());
            assert!(
                said.contains(expected) && said.is_empty() == expected.is_empty(),
                "{said:?}, not {expected:?}"
            );
        };
        check(&[2], &[0, 2], &[0.5, 0.5], &[1.0, 2.0], "");
        check(&[0], &[], &[], &[], "");
        check(&[], &[], &[], &[], "counts");
        check(&[3], &[0, 2], &[0.5, 0.5], &[1.0, 2.0], "counts");
        check(&[3], &[0, 1, 2], &[0.1; 3], &[1.0; 3], "where 2 were asked for");
        check(&[2], &[0, 2], &[0.5], &[1.0, 2.0], "lists of");
        check(&[1], &[3], &[0.5], &[1.0], "beyond the 3 that there are");
        check(&[1], &[0], &[f32::NAN], &[1.0], "share");
        check(&[1], &[0], &[-0.1], &[1.0], "share");
        check(&[2], &[0, 1], &[0.8, 0.8], &[1.0, 1.0], "more than 1");
        check(&[1], &[0], &[0.5], &[f32::INFINITY], "typical");
    }
}
