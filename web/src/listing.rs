//! The list of alerts on the page: which alerts a filter shows, and where an alert is inserted.

use netsage_api_types::{Alert, AlertSources, AlertState, Severity};

use crate::format::plural;

/// Alerts that the page holds at most: more than anybody reads, few enough to be drawn at once.
pub const MOST: usize = 1000;

/// A severity as it stands in the API.
pub fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

/// A state as it stands in the API.
pub fn state_name(state: AlertState) -> &'static str {
    match state {
        AlertState::New => "new",
        AlertState::Acknowledged => "acknowledged",
        AlertState::Closed => "closed",
        AlertState::Merged => "merged",
    }
}

/// What the user wants to see; empty means all, but for merged alerts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertFilter {
    /// Name of a state.
    pub state: String,
    /// Name of the least severity.
    pub severity: String,
    /// Source address.
    pub source: String,
    /// Kind, e.g. `tcp/ssh`.
    pub kind: String,
    /// Name of a network.
    pub network: String,
    /// Name of a sensor.
    pub sensor: String,
}

impl AlertFilter {
    /// Whether the host would list this alert.
    pub fn takes(&self, alert: &Alert) -> bool {
        let severities = [
            Severity::Low,
            Severity::Medium,
            Severity::High,
            Severity::Critical,
        ];
        let least = severities
            .into_iter()
            .find(|severity| severity_name(*severity) == self.severity);
        let same = |wanted: &str, found: &str| wanted.trim().is_empty() || wanted.trim() == found;
        let is_of_state = match self.state.trim() {
            "" => alert.state != AlertState::Merged,
            wanted => wanted == state_name(alert.state),
        };
        is_of_state
            && least.is_none_or(|least| alert.severity >= least)
            && same(&self.source, &alert.source)
            && same(&self.kind, &alert.kind)
            && same(&self.network, &alert.network)
            && same(&self.sensor, &alert.sensor)
    }
}

/// Where an alert comes from, in words.
pub fn origin(alert: &Alert) -> String {
    match &alert.sources {
        None => alert.source.clone(),
        Some(sources) => plural(sources.count, "source", "sources"),
    }
}

/// Network and sensor of an alert, in words; empty where neither has a name.
pub fn place(alert: &Alert) -> String {
    let names = [alert.network.as_str(), alert.sensor.as_str()];
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    names.join(" · ")
}

/// Where an alert goes to, in words.
pub fn aim(alert: &Alert) -> String {
    match &alert.sources {
        Some(AlertSources {
            held_back: Some(held_back),
            ..
        }) => format!("{} held back", plural(*held_back, "alert", "alerts")),
        _ => match alert.destination.contains(':') {
            true => format!("[{}]:{}", alert.destination, alert.destination_port),
            false => format!("{}:{}", alert.destination, alert.destination_port),
        },
    }
}

/// What an alert of many sources is, in a sentence or two; `None` for the alert of one source.
pub fn about_sources(alert: &Alert) -> Option<String> {
    let sources = alert.sources.as_ref()?;
    let (flows, many) = (
        plural(alert.count, "flow", "flows"),
        plural(sources.count, "source", "sources"),
    );
    Some(match sources.held_back {
        None => format!(
            "{many} sent {flows} of this kind to {}. They are one alert, since each alone would say the same.",
            aim(alert)
        ),
        Some(held_back) => format!(
            "This kind made more alerts in this window than are shown: {} held back. All of them, and those shown, have \
             {flows} from {many}.",
            plural(held_back, "alert is", "alerts are")
        ),
    })
}

/// Inserts an alert at its place (newest first, as the host lists alerts), or removes the alert when the filter
/// excludes it.
pub fn put(list: &mut Vec<Alert>, alert: Alert, filter: &AlertFilter) {
    list.retain(|entry| entry.id != alert.id);
    if filter.takes(&alert) {
        let newer = |entry: &Alert| (entry.last_seen, &entry.id) > (alert.last_seen, &alert.id);
        let place = list.partition_point(newer);
        list.insert(place, alert);
        list.truncate(MOST);
    }
}

/// Appends the next page, as far as there is room; alerts that arrived meanwhile are not repeated.
pub fn append(list: &mut Vec<Alert>, page: Vec<Alert>) {
    for alert in page {
        if !list.iter().any(|entry| entry.id == alert.id) {
            list.push(alert);
        }
    }
    list.truncate(MOST);
}

#[cfg(test)]
mod tests {
    use netsage_api_types::DetectorRef;

    use super::*;

    fn alert(id: &str, last_seen: i64) -> Alert {
        Alert {
            id: id.to_owned(),
            first_seen: 0,
            last_seen,
            count: 1,
            kind: "tcp/ssh".to_owned(),
            source: "10.0.0.1".to_owned(),
            source_port: 1,
            destination: "10.0.0.2".to_owned(),
            destination_port: 22,
            protocol: "tcp".to_owned(),
            network: String::new(),
            sensor: String::new(),
            community_id: String::new(),
            score: 0.7,
            threshold: 0.6,
            severity: Severity::Medium,
            detector: DetectorRef {
                name: "iforest".to_owned(),
                version: "1.0.0".to_owned(),
                digest: String::new(),
                generation: 0,
            },
            schema: "unsw-nb15@1".to_owned(),
            contributions: Vec::new(),
            state: AlertState::New,
            changed_by: None,
            changed_at: None,
            sources: None,
            merged_into: None,
        }
    }

    fn ids(list: &[Alert]) -> String {
        list.iter().map(|alert| alert.id.as_str()).collect()
    }

    #[test]
    fn alerts_stay_in_the_order_of_the_host() {
        let mut list = Vec::new();
        let all = AlertFilter::default();
        for (id, last_seen, expected) in [
            ("a", 10, "a"),
            ("b", 30, "ba"),
            ("c", 20, "bca"),
            // Seen again: it moves up, as it does on the host.
            ("a", 40, "abc"),
            // At the same time the larger id comes first.
            ("d", 30, "adbc"),
        ] {
            put(&mut list, alert(id, last_seen), &all);
            assert_eq!(ids(&list), expected, "after {id} at {last_seen}");
        }
        append(&mut list, vec![alert("c", 20), alert("e", 5)]);
        assert_eq!(ids(&list), "adbce");
    }

    #[test]
    fn the_list_does_not_grow_without_end() {
        let mut list = Vec::new();
        for number in 0..=MOST as i64 {
            put(
                &mut list,
                alert(&number.to_string(), number),
                &AlertFilter::default(),
            );
        }
        assert_eq!(list.len(), MOST);
        assert_eq!(list[0].last_seen, MOST as i64, "the newest stay");
        append(&mut list, vec![alert("older", -1)]);
        assert_eq!(list.len(), MOST);
    }

    #[test]
    fn an_alert_leaves_when_the_filter_no_longer_takes_it() {
        let filter = AlertFilter {
            state: "new".to_owned(),
            ..AlertFilter::default()
        };
        let mut list = vec![alert("a", 10)];
        let closed = Alert {
            state: AlertState::Closed,
            ..alert("a", 10)
        };
        put(&mut list, closed, &filter);
        assert!(list.is_empty());
    }

    #[test]
    fn filters() {
        let check = |change: fn(&mut AlertFilter), expected: bool| {
            let mut filter = AlertFilter::default();
            change(&mut filter);
            assert_eq!(filter.takes(&alert("a", 1)), expected, "{filter:?}");
        };
        check(|_| {}, true);
        check(|filter| filter.state = "closed".to_owned(), false);
        check(|filter| filter.severity = "medium".to_owned(), true);
        check(|filter| filter.severity = "high".to_owned(), false);
        check(|filter| filter.source = " 10.0.0.1 ".to_owned(), true);
        check(|filter| filter.source = "10.0.0".to_owned(), false);
        check(|filter| filter.kind = "udp/dns".to_owned(), false);
        check(|filter| filter.network = "branch".to_owned(), false);
        check(|filter| filter.sensor = "tap".to_owned(), false);
        let named = Alert {
            network: "branch".to_owned(),
            sensor: "tap".to_owned(),
            ..alert("b", 1)
        };
        let filter = AlertFilter {
            network: "branch".to_owned(),
            sensor: " tap ".to_owned(),
            ..AlertFilter::default()
        };
        assert!(filter.takes(&named));
        assert_eq!(
            (place(&named), place(&alert("a", 1))),
            ("branch · tap".to_owned(), String::new())
        );
    }
}
