//! Variables of the environment that look like ours and are none: a misspelt setting would be ignored in silence.

use std::env;

/// What our variables begin with.
const PREFIX: &str = "NETSAGE_";
/// Variables of tests and of `cargo xtask`, which reach programs that they start.
const OF_DEVELOPMENT: [&str; 10] = [
    "NETSAGE_BIN",
    "NETSAGE_BLESS",
    "NETSAGE_CAPTURE",
    "NETSAGE_CSV",
    "NETSAGE_DATASET",
    "NETSAGE_DIST",
    "NETSAGE_PYTHON",
    "NETSAGE_PYTHON_WHY_NOT",
    "NETSAGE_TOOLS",
    "NETSAGE_WEB",
];

/// A sentence for each variable that no command of this program reads.
pub(crate) fn complaints(command: &clap::Command) -> Vec<String> {
    let mut known = Vec::new();
    collect(command, &mut known);
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut unknown: Vec<String> = names
        .filter(|name| name.starts_with(PREFIX) && !OF_DEVELOPMENT.contains(&name.as_str()))
        .filter(|name| !known.contains(name))
        .collect();
    unknown.sort_unstable();
    unknown.iter().map(|name| complaint(name, &known)).collect()
}

fn collect(command: &clap::Command, known: &mut Vec<String>) {
    let variables = command.get_arguments().filter_map(|argument| argument.get_env());
    known.extend(variables.map(|name| name.to_string_lossy().into_owned()));
    for command in command.get_subcommands() {
        collect(command, known);
    }
}

fn complaint(name: &str, known: &[String]) -> String {
    let distance = |known: &&String| strsim::damerau_levenshtein(name, known);
    let nearest = known
        .iter()
        .min_by_key(distance)
        .filter(|known| distance(known) <= 3);
    let meant = nearest.map_or_else(
        || "docs/settings.md lists those that are".to_owned(),
        |known| format!("did you mean {known}?"),
    );
    // What stands in the environment may hold anything.
    format!(
        "the variable {} is no setting and is ignored; {meant}",
        name.escape_debug()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_is_told_with_what_was_meant() {
        let mut known = Vec::new();
        collect(&crate::command(), &mut known);
        for name in [
            "NETSAGE_LOG",
            "NETSAGE_URL",
            "NETSAGE_TOKEN_FILE",
            "NETSAGE_FLOW_MEMORY",
        ] {
            assert!(known.iter().any(|known| known == name), "{name}");
        }
        let check = |name: &str, expected: &str| {
            let said = complaint(name, &known);
            assert!(said.contains(name) && said.ends_with(expected), "{said}");
        };
        check("NETSAGE_TOKNE", "did you mean NETSAGE_TOKEN?");
        check("NETSAGE_FLOWMEMORY", "did you mean NETSAGE_FLOW_MEMORY?");
        check("NETSAGE_SOMETHING_ELSE", "lists those that are");
    }
}
