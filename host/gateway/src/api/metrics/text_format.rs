//! The two text formats of Prometheus: OpenMetrics, which the library writes, and the older one, which tools and `curl` get.

use std::fmt::Write as _;

/// Media type of OpenMetrics.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Media type of the older format.
pub(super) const OLDER: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether who asks takes OpenMetrics.
pub(super) fn takes_open_metrics(accept: Option<&str>) -> bool {
    accept.is_some_and(|accept| accept.contains("application/openmetrics-text"))
}

/// The same figures in the older format: there a counter has the name of its samples, and nothing marks the end.
pub(super) fn older(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // The description of a name comes before its type.
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let total = if kind == "counter" { "_total" } else { "" };
            if let Some((_, help)) = help.take().filter(|(of, _)| *of == name) {
                // Quotes are escaped in OpenMetrics only.
                let help = help.replace("\\\"", "\"");
                let _ = writeln!(text, "# HELP {name}{total} {help}");
            }
            let _ = writeln!(text, "# TYPE {name}{total} {kind}");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_has_the_same_samples() {
        let open_metrics = "# HELP a_packets Packets \\\"read\\\".\n# TYPE a_packets counter\na_packets_total{b=\"# c\"} 1\n\
            # HELP a_seconds Time.\n# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds 0.5\n# EOF\n";
        let expected = "# HELP a_packets_total Packets \"read\".\n# TYPE a_packets_total counter\n\
            a_packets_total{b=\"# c\"} 1\n# HELP a_seconds Time.\n# TYPE a_seconds gauge\na_seconds 0.5\n";
        assert_eq!(older(open_metrics), expected);
    }

    #[test]
    fn open_metrics_is_for_who_asks_for_it() {
        let check = |accept: Option<&str>, expected: bool| assert_eq!(takes_open_metrics(accept), expected);
        check(None, false);
        check(Some("*/*"), false);
        check(
            Some("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"),
            true,
        );
    }
}
