//! The known name that a mistyped one most likely meant.

/// The candidate with the fewest edits from `name`, when close enough to be worth showing: at most one edit per three
/// characters; a name that begins with the other one counts as close.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_ascii_lowercase();
    if wanted.is_empty() || wanted.len() > 64 {
        return None;
    }
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let known = candidate.to_ascii_lowercase();
            let edits = edit_distance(wanted.as_bytes(), known.as_bytes());
            let prefix = wanted.len().min(known.len()) >= 3
                && (wanted.starts_with(&known) || known.starts_with(&wanted));
            let limit = (wanted.len().max(known.len()) / 3).max(1);
            (prefix || edits <= limit && edits < known.len()).then_some((edits, candidate))
        })
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) between two names.
fn edit_distance(from: &[u8], to: &[u8]) -> usize {
    let width = to.len() + 1;
    let mut before_previous = vec![0; width];
    let mut previous: Vec<usize> = (0..width).collect();
    let mut current = vec![0; width];
    for row in 1..=from.len() {
        current[0] = row;
        for column in 1..width {
            let replaced = previous[column - 1] + usize::from(from[row - 1] != to[column - 1]);
            let mut best = replaced.min(previous[column] + 1).min(current[column - 1] + 1);
            if row > 1 && column > 1 && from[row - 1] == to[column - 2] && from[row - 2] == to[column - 1] {
                best = best.min(before_previous[column - 2] + 1);
            }
            current[column] = best;
        }
        std::mem::swap(&mut before_previous, &mut previous);
        std::mem::swap(&mut previous, &mut current);
    }
    previous[width - 1]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn guesses_what_was_meant() {
        let known = ["dur", "sbytes", "dbytes", "ct_srv_src", "tcp", "udp"];
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(nearest(name, known), expected, "for {name:?}");
        };
        check("tpc", Some("tcp"));
        check("duration", Some("dur"));
        check("SBYTES", Some("sbytes"));
        check("s_bytes", Some("sbytes"));
        check("ct_src_srv", Some("ct_srv_src"));
        check("colour", None);
        check("", None);
    }
}
