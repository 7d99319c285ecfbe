//! The document that describes the API.

use std::path::Path;

/// `NETSAGE_BLESS=1 cargo test -p netsage-gateway openapi` writes the document anew.
#[test]
fn the_openapi_document_is_the_one_in_docs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let current = netsage_gateway::api::openapi_json().unwrap();
    if std::env::var_os("NETSAGE_BLESS").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == current,
        "docs/openapi.json is not current: run with NETSAGE_BLESS=1 and look at the difference"
    );
}
