//! What the documents say of the bundled models against their cards.

use std::fs;
use std::path::Path;

use netsage_package::ModelCard;

/// Each bundled model for UNSW-NB15 has a row in docs/detection.md with the area that its card states.
#[test]
fn the_document_states_what_the_cards_state() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let Ok(document) = fs::read_to_string(root.join("docs/detection.md")) else {
        println!("skipped: docs/detection.md is not made yet; `cargo xtask figures` makes it");
        return;
    };
    let section = document
        .split("\n## ")
        .find(|section| section.starts_with("UNSW-NB15"));
    let section = section.expect("docs/detection.md has a section UNSW-NB15");
    let mut models = 0;
    for entry in fs::read_dir(root.join("models/artifacts")).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().ends_with("-unsw-nb15.card.json") {
            continue;
        }
        let card = ModelCard::from_json(&fs::read(&path).unwrap()).unwrap();
        let name = card
            .name
            .or(card.detector)
            .unwrap_or_else(|| "iforest".to_owned());
        let row = section
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}`")));
        let row = row
            .unwrap_or_else(|| panic!("docs/detection.md has no row of `{name}`; run `cargo xtask figures`"));
        let auroc = format!("{:.3}", card.figures["auroc"]);
        let cell = row.split('|').nth(2).unwrap();
        assert!(
            cell.trim_start().starts_with(auroc.trim_start_matches('0')),
            "`{name}` has an AUROC of {auroc} by its card and of {cell} in docs/detection.md: run `cargo xtask figures`"
        );
        models += 1;
    }
    assert!(models > 0, "there are bundled models");
}
