//! Checks of a model, and its masses in their stored order.

use crate::artifact::{ArtifactError, Model, Scale};
use crate::maths::mix;
use crate::shape;

const MAX_TREES: u16 = 500;
const MAX_HEIGHT: u8 = 16;
/// Most nodes of all trees together: 16 bytes each, so 64 MiB.
const MAX_NODES: usize = 1 << 22;

pub(crate) fn content(text: String) -> ArtifactError {
    ArtifactError::Content(text)
}

pub(crate) fn check(model: &Model) -> Result<(), ArtifactError> {
    let columns = model.columns.len();
    if !(1..=255).contains(&columns) {
        return Err(content(format!("{columns} columns instead of 1 to 255")));
    }
    if !(1..=MAX_TREES).contains(&model.trees) || !(1..=MAX_HEIGHT).contains(&model.height) {
        return Err(content(format!(
            "{} trees of height {} instead of 1 to {MAX_TREES} of 1 to {MAX_HEIGHT}",
            model.trees, model.height
        )));
    }
    if usize::from(model.trees) * shape::nodes(model.height) > MAX_NODES {
        return Err(content(format!("its trees have more than {MAX_NODES} nodes")));
    }
    let weight = model.adaptation > 0.0 && model.adaptation <= 1.0;
    if !weight || model.window == 0 || !(0.0..=1e9).contains(&model.least_rows) {
        return Err(content(format!(
            "a window of {} rows with weight {}, and at least {} rows to divide a node",
            model.window, model.adaptation, model.least_rows
        )));
    }
    let expected = if model.rows == 0 {
        0
    } else {
        usize::from(model.trees)
    };
    if model.masses.len() != expected || model.rows > 1 << 24 {
        return Err(content(format!(
            "the masses of {} trees for {} rows",
            model.masses.len(),
            model.rows
        )));
    }
    for column in &model.columns {
        let sound = match &column.scale {
            Scale::Logarithm { steps, low, high } => {
                *steps > 0.0 && steps.is_finite() && low.is_finite() && high.is_finite() && low < high
            }
            Scale::Rank(_) => true,
        };
        if !sound || !column.typical.is_finite() {
            return Err(content(format!("the scale of {} is none", column.name)));
        }
    }
    Ok(())
}

/// Fills the masses below `node` from their stored order. The depth of the recursion is the height.
pub(crate) fn unpack(
    stored: &mut impl Iterator<Item = u32>,
    node: usize,
    masses: &mut [f32],
) -> Result<u32, ArtifactError> {
    let missing = || content("a tree has fewer masses than nodes".to_owned());
    let mass = stored.next().ok_or_else(missing)?;
    masses[node] = mass as f32;
    let first_child = 2 * node + 1;
    if mass > 0 && first_child < masses.len() {
        let lower = unpack(stored, first_child, masses)?;
        let upper = unpack(stored, first_child + 1, masses)?;
        if lower.checked_add(upper) != Some(mass) {
            return Err(content(format!(
                "halves of {lower} and {upper} rows in a node of {mass}"
            )));
        }
    }
    Ok(mass)
}

/// The masses of a tree in their stored order; the reverse of [`unpack`].
pub(crate) fn pack(masses: &[u32], node: usize, stored: &mut Vec<u32>) {
    stored.push(masses[node]);
    let first_child = 2 * node + 1;
    if masses[node] > 0 && first_child < masses.len() {
        pack(masses, first_child, stored);
        pack(masses, first_child + 1, stored);
    }
}

pub(crate) fn fingerprint(model: &Model) -> u64 {
    let mut hash = mix(model.seed ^ u64::from(model.trees) << 32 ^ u64::from(model.height));
    for byte in model
        .columns
        .iter()
        .flat_map(|column| column.name.bytes().chain([0]))
    {
        hash = mix(hash ^ u64::from(byte));
    }
    hash
}
