//! From rows to scores.

use netsage_detector_sdk::{Block, Contexts, Contribution, Error, Explanation, MAX_ROWS, RowError};

use crate::artifact::{ArtifactError, Model};
use crate::chance::surprise;
use crate::columns::{Columns, WIDTH};
use crate::state::StateError;
use crate::visits::{Pair, Visits, seconds};

/// Place of the bytes that the source sent.
const SENT: usize = 4;
/// What stands for the start time in an explanation.
const START_TIME: usize = WIDTH;
/// Gaps before anything is said.
const FEWEST_GAPS: usize = 5;

/// What a row shows together with those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measured {
    /// Negative decimal logarithm of the probability that visits are so regular by chance; 0 for a row that is no visit.
    pub surprise: f32,
    /// Bytes that its source has sent its destination, of which half is forgotten every hour.
    pub sent: f32,
}

/// The values of [`Columns::names`].
type Row = [f32; WIDTH];

/// A flow: the columns of its row, and where and when it was.
#[derive(Clone, Copy)]
struct Flow<'a> {
    row: &'a Row,
    start: u64,
    source: u64,
    destination: u64,
}

/// Scores rows in their order, and remembers the visits of each pair of hosts.
#[derive(Debug, Clone)]
pub struct Scorer {
    model: Model,
    columns: &'static Columns,
    /// The pause of the model, microseconds.
    pause: u64,
    visits: Visits,
}

impl Scorer {
    /// A scorer without a memory.
    ///
    /// # Errors
    /// [`ArtifactError::Content`].
    pub fn new(model: Model) -> Result<Self, ArtifactError> {
        model.check()?;
        Ok(Self {
            pause: microseconds(model.pause),
            columns: Columns::of(&model.schema),
            model,
            visits: Visits::new(),
        })
    }

    /// Reads an artifact.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub fn decode(artifact: &[u8]) -> Result<Self, ArtifactError> {
        Self::new(Model::decode(artifact)?)
    }

    /// Schema of the columns, e.g. `flow-v1@1`.
    pub fn schema(&self) -> &str {
        &self.model.schema
    }

    /// The columns of its rows.
    pub fn columns(&self) -> &'static Columns {
        self.columns
    }

    /// What it remembers of the visits, for [`Scorer::restore`].
    pub fn save(&self) -> Vec<u8> {
        self.visits.save()
    }

    /// Replaces the memory by the one that another scorer saved.
    ///
    /// # Errors
    /// [`StateError`]; it then remembers what it did before.
    pub fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        self.visits = Visits::restore(state)?;
        Ok(())
    }

    /// Appends one score per row, the larger of two. The first is the surprise at the rhythm of the visits that the row
    /// belongs to, less the usual surprise; it is none for a row that begins no visit or follows too few visits. The
    /// second is the decimal logarithm of the bytes that the source has sent to the destination, over the usual number.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the rows have other columns than [`Scorer::columns`], or a context is absent; nothing is
    /// remembered of them.
    pub fn score_block(&mut self, block: &Block<'_>, scores: &mut Vec<f32>) -> Result<(), Error> {
        for flow in flows(block)? {
            let measured = self.visit(flow);
            let (rhythm, volume) = self.excess(flow.row, measured);
            scores.push(rhythm.max(volume));
        }
        Ok(())
    }

    /// Appends for each row what is measured before anything is taken for usual; for training.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the rows have other columns than [`Scorer::columns`], or a context is absent; nothing is
    /// remembered of them.
    pub fn measure_block(&mut self, block: &Block<'_>, measured: &mut Vec<Measured>) -> Result<(), Error> {
        for flow in flows(block)? {
            measured.push(self.visit(flow));
        }
        Ok(())
    }

    /// Appends for each row the time of the visit, with how much later it was to be expected, and the bytes sent, with those
    /// of a source that sends as much as is usual; each by its share of the score. Changes no memory.
    ///
    /// # Errors
    /// [`Error::BadInput`] as in [`Scorer::score_block`].
    pub fn explain_block(&self, block: &Block<'_>, limit: usize) -> Result<Explanation, Error> {
        let mut explanation = Explanation::default();
        for flow in flows(block)? {
            let found = self.visits.find(flow.source, flow.destination);
            let mut entries: Vec<Contribution> = found
                .into_iter()
                .flat_map(|pair| self.reasons(pair, flow))
                .collect();
            entries.sort_by(|one, other| other.weight.total_cmp(&one.weight));
            explanation.push_row(entries.into_iter().take(limit));
        }
        Ok(explanation)
    }

    /// Both parts of the score.
    fn excess(&self, row: &Row, measured: Measured) -> (f32, f32) {
        let (surprise, sent) = self.model.ceiling(row[0] as u16, row[1] as u16);
        // Nothing sent is a byte sent: its logarithm exists.
        let volume = libm::log10(f64::from(measured.sent.max(1.0)) / f64::from(sent)) as f32;
        (measured.surprise - surprise, volume)
    }

    /// Why a row of a pair scores as it does, as far as it is more than usual; whatever there is where nothing is.
    fn reasons(&self, pair: &Pair, flow: Flow<'_>) -> impl Iterator<Item = Contribution> + use<> {
        let row = flow.row;
        let measured = Measured {
            surprise: surprise_of(pair),
            sent: pair.sent,
        };
        let (_, usual_sent) = self.model.ceiling(row[0] as u16, row[1] as u16);
        let (rhythm, volume) = self.excess(row, measured);
        let mut parts = [rhythm.max(0.0), volume.max(0.0)];
        if parts == [0.0; 2] {
            parts = if rhythm > volume { [1.0, 0.0] } else { [0.0, 1.0] };
        }
        let all = parts[0] + parts[1];
        let share = f64::from(usual_sent) / f64::from(pair.sent.max(1.0));
        let typical = [
            expected_later(pair, flow.start),
            (f64::from(row[SENT]) * share) as f32,
        ];
        [START_TIME, SENT]
            .into_iter()
            .zip(parts)
            .zip(typical)
            .filter(|((_, part), typical)| *part > 0.0 && typical.is_finite())
            .map(move |((column, part), typical)| Contribution {
                column,
                weight: part / all,
                typical,
            })
    }

    /// Takes a row.
    fn visit(&mut self, flow: Flow<'_>) -> Measured {
        let Flow {
            row,
            start,
            source,
            destination,
        } = flow;
        let &[protocol, _, duration, part, sent] = row;
        let (pair, is_known) = self.visits.meet(source, destination, start);
        pair.send(start, sent);
        let mut measured = Measured {
            surprise: 0.0,
            sent: pair.sent,
        };
        let pause = start.saturating_sub(pair.end);
        pair.end = pair.end.max(start.saturating_add(microseconds(duration)));
        // A later record of a long connection begins nothing.
        let goes_on = protocol as u16 == self.model.tcp && part == self.columns.goes_on;
        if !is_known || goes_on || pause <= self.pause {
            return measured;
        }
        pair.push(seconds(start - pair.last));
        pair.last = start;
        measured.surprise = surprise_of(pair);
        measured
    }
}

/// Seconds as whole microseconds; 0 for less than nothing.
fn microseconds(seconds: f32) -> u64 {
    (f64::from(seconds) * 1e6).round() as u64
}

/// How surprising the rhythm of a pair is by chance; 0 for too few visits.
fn surprise_of(pair: &Pair) -> f32 {
    let (count, mean, mean_of_logarithms) = pair.means();
    if count < FEWEST_GAPS {
        return 0.0;
    }
    surprise(count, mean, mean_of_logarithms)
}

/// How many seconds later than at `start` a visit was to be expected: a whole number of mean gaps after the one before.
fn expected_later(pair: &Pair, start: u64) -> f32 {
    let (_, mean, _) = pair.means();
    let since = if start >= pair.last {
        f64::from(seconds(start - pair.last))
    } else {
        -f64::from(seconds(pair.last - start))
    };
    // The last visit itself is compared with the one before it.
    let since = match pair.last_gap() {
        Some(gap) if start == pair.last => f64::from(gap),
        _ => since,
    };
    let later = (since / mean).round().max(1.0) * mean - since;
    if later.is_finite() { later as f32 } else { 0.0 }
}

/// Cuts a table of flows into blocks, for those that have it whole: training, and tests.
///
/// # Errors
/// [`Error::BadInput`] for a block whose values are no whole rows or not finite, or for which a list of `contexts` is too
/// short.
pub fn blocks<'a>(
    values: &'a [f32],
    contexts: Contexts<'a>,
) -> impl Iterator<Item = Result<Block<'a>, Error>> {
    let values = values.chunks(MAX_ROWS * WIDTH);
    values.enumerate().map(move |(number, values)| {
        let rows = values.len() / WIDTH;
        let part = |list: Option<&'a [u64]>| {
            let rest = list?.get(number * MAX_ROWS..).unwrap_or_default();
            Some(&rest[..rows.min(rest.len())])
        };
        Block::new(rows, WIDTH, values)?.with_contexts(Contexts {
            start_time: part(contexts.start_time),
            source: part(contexts.source),
            destination: part(contexts.destination),
        })
    })
}

/// The flows of a block, once it is what was asked for.
fn flows<'a>(block: &Block<'a>) -> Result<impl Iterator<Item = Flow<'a>>, Error> {
    RowError::check_shape(block.rows(), WIDTH, block.values())?;
    let Contexts {
        start_time: Some(starts),
        source: Some(sources),
        destination: Some(destinations),
    } = block.contexts()
    else {
        return Err(Error::bad_input(
            "the start time, the source and the destination of every flow are needed",
        ));
    };
    let (rows, _) = block.values().as_chunks();
    Ok(rows.iter().enumerate().map(move |(place, row)| Flow {
        row,
        start: starts[place],
        source: sources[place],
        destination: destinations[place],
    }))
}
