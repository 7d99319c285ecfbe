//! What must hold of a model before it scores.

use crate::artifact::{ArtifactError, Method, Model, Scale};
use crate::mixture::triangle;

/// Most nominal columns: where two contexts differ is a set of bits in a `u8`, and so is the number of such sets.
pub(crate) const MAX_NOMINALS: usize = 7;
/// Most numbers of all points together, the filling of leaves included: 64 MiB.
const MAX_CELLS: usize = 1 << 24;

fn content(text: String) -> ArtifactError {
    ArtifactError::Content(text)
}

/// Checks a model.
pub(crate) fn check(model: &Model) -> Result<(), ArtifactError> {
    let columns = model.columns.len();
    if !(1..=255).contains(&columns) {
        return Err(content(format!("{columns} columns instead of 1 to 255")));
    }
    let nominals = model
        .columns
        .iter()
        .filter(|column| column.scale.is_nominal())
        .count();
    if nominals > MAX_NOMINALS {
        return Err(content(format!(
            "{nominals} nominal columns instead of 0 to {MAX_NOMINALS}"
        )));
    }
    for column in &model.columns {
        if let Scale::Number {
            steps,
            centre,
            deviation,
        } = column.scale
            && !((1e-6..=1e12).contains(&steps)
                && (0.0..=256.0).contains(&centre)
                && (1e-6..=256.0).contains(&deviation))
        {
            return Err(content(format!("the scale of {} is out of range", column.name)));
        }
    }
    if !(1.0..=4_096.0).contains(&model.resolution) {
        return Err(content(format!("a resolution of {}", model.resolution)));
    }
    if !(1..=64).contains(&model.groups.len()) || model.contexts.len() > 1_024 {
        return Err(content(format!(
            "{} groups instead of 1 to 64, or {} contexts instead of up to 1024",
            model.groups.len(),
            model.contexts.len()
        )));
    }
    if model.contexts.iter().any(|context| context.len() != nominals) {
        return Err(content(format!(
            "a context has no code for each of {nominals} columns"
        )));
    }
    let mut cells = 0;
    for group in &model.groups {
        let defect = |text: &str| content(format!("group {}: {text}", group.name));
        let is_number = |&column: &u16| {
            let column = model.columns.get(usize::from(column));
            column.is_some_and(|column| !column.scale.is_nominal())
        };
        if group.columns.len() > 64 || !group.columns.iter().all(is_number) {
            return Err(defect("its columns are more than 64, unknown or nominal"));
        }
        cells += check_method(&group.method, group.columns.len(), nominals, model)
            .map_err(|text| defect(&text))?;
        if let Some(text) = group.surprise.defect() {
            return Err(defect(text));
        }
    }
    if cells > MAX_CELLS {
        return Err(content(format!("{cells} numbers instead of up to {MAX_CELLS}")));
    }
    Ok(())
}

/// The numbers that a method needs in memory, or what is wrong with it.
fn check_method(method: &Method, width: usize, nominals: usize, model: &Model) -> Result<usize, String> {
    let bounded = |value: &f32| (-1e9..=1e9).contains(value);
    match method {
        Method::Neighbours {
            neighbours,
            penalties,
            points,
        } => {
            if !(1..=256).contains(neighbours) || width == 0 {
                return Err(format!(
                    "{neighbours} neighbours instead of 1 to 256, or no column"
                ));
            }
            if penalties.len() != nominals || !penalties.iter().all(|penalty| (0.0..=1e6).contains(penalty)) {
                return Err("no penalty, or one out of range, for a nominal column".to_owned());
            }
            if points.len() != model.contexts.len() {
                return Err("it does not have points for each context".to_owned());
            }
            let sound = |points: &crate::Points| {
                points.counts.len().checked_mul(width) == Some(points.values.len())
                    && !points.counts.contains(&0)
            };
            if !points.iter().all(sound) {
                return Err("its points and their counts do not fit together".to_owned());
            }
            let leaves = points
                .iter()
                .map(|points| points.counts.len().div_ceil(crate::index::LEAF));
            Ok(leaves.sum::<usize>() * crate::index::LEAF * (width + 2))
        }
        Method::Mixture { components, floor } => {
            if !(1..=256).contains(&components.len()) || !bounded(floor) {
                return Err(format!(
                    "{} components instead of 1 to 256, or no floor",
                    components.len()
                ));
            }
            let sound = |component: &crate::Component| {
                let numbers = component.mean.iter().chain(&component.whitening);
                component.mean.len() == width
                    && component.whitening.len() == triangle(width)
                    && component.nominals.len() == nominals
                    && component
                        .nominals
                        .iter()
                        .all(|table| (1..=65_536).contains(&table.len()))
                    && bounded(&component.constant)
                    && numbers.chain(component.nominals.iter().flatten()).all(bounded)
            };
            if !components.iter().all(sound) {
                return Err("a component does not fit its columns".to_owned());
            }
            let tables = components
                .iter()
                .flat_map(|component| &component.nominals)
                .map(Vec::len);
            let longest = tables.max().unwrap_or_default();
            Ok(components.len().next_multiple_of(8) * (1 + width + triangle(width) + nominals * longest))
        }
    }
}
