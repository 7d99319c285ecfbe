//! What the Lab reads of a detector package beside its artifact: which rows it scores.

use netsage_package::{Package, SCHEMA_PROPERTY};
use netsage_schema::Schema;

/// The schema of the rows that a package scores, as a host finds it ([`Package::schema`]). `properties` are those of its
/// detector: name, value, name, value, ...
///
/// # Errors
/// A sentence when the bytes are no package, the package does not say its schema, or this release has no such schema.
pub fn schema(package: Vec<u8>, properties: &[String]) -> Result<&'static Schema, String> {
    let package = Package::from_bytes(package).map_err(|error| error.to_string())?;
    let property = properties.chunks_exact(2).find(|pair| pair[0] == SCHEMA_PROPERTY);
    package
        .schema(property.map(|pair| pair[1].as_str()))
        .map_err(|error| error.to_string())
}
