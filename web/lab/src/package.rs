//! What the Lab reads of a detector package beside its artifact: which rows it scores.

use netsage_package::Package;
use netsage_schema::Schema;

/// The schemas whose rows a package may score: the schema of its card, or every schema without a card.
///
/// # Errors
/// A sentence when the bytes are no package, or this release has no such schema.
pub fn schemas(package: Vec<u8>) -> Result<Vec<&'static Schema>, String> {
    let package = Package::from_bytes(package).map_err(|error| error.to_string())?;
    let known = package.known_schema().map_err(|error| error.to_string())?;
    Ok(known.map_or_else(|| Schema::ALL.to_vec(), |schema| vec![schema]))
}
