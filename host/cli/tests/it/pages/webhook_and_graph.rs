//! `docs/webhook-and-graph.md`.

use super::{follow, missing};
use crate::support::{Home, free_address, packages_built};

const PAGE: &str = include_str!("../../../../../docs/webhook-and-graph.md");

#[test]
fn the_page_to_a_webhook_and_a_graph_is_true() {
    if !packages_built() {
        return;
    }
    if let Err(reason) = missing(&["bash", "curl", "jq", "python3", "prometheus"]) {
        eprintln!("skipped: {reason}");
        return;
    }
    let variables = vec![
        ("NETSAGE", free_address()),
        ("RECEIVER", free_address()),
        ("PROMETHEUS", free_address()),
    ];
    follow(PAGE, Home::new(), variables);
}
