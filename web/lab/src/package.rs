//! What the Lab reads of a detector package beside its artifact: which rows it scores.

use netsage_package::Package;
use netsage_schema::Schema;

/// The schema whose rows a package scores: that of its card, or, without a card, the first one that has all of
/// `columns`.
///
/// # Errors
/// A sentence when the bytes are no package, or this release has no such schema.
pub fn schema(package: Vec<u8>, columns: &[String]) -> Result<&'static Schema, String> {
    let package = Package::from_bytes(package).map_err(|error| error.to_string())?;
    if let Some(schema) = package.known_schema().map_err(|error| error.to_string())? {
        return Ok(schema);
    }
    let features = || columns.iter().filter(|name| !name.starts_with("context."));
    let has_all = |schema: &&Schema| features().all(|name| schema.index_of(name).is_some());
    Schema::ALL.into_iter().find(has_all).ok_or_else(|| {
        let wanted = columns.join(", ");
        format!("no schema of this release has the columns {wanted}; the detector was made for another one")
    })
}
