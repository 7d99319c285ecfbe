//! What a meter or a reader of records has counted, for people or programs.

use std::io::Read;

use netsage_capture::MeterStats;
use netsage_console::output::Format;
use netsage_sources::{RecordSource, Source as _};
use serde_json::{Map, json};

/// Every counter. For people: one line each, and the reasons that occurred for not metering packets. For programs: one
/// JSON object with every reason.
pub(super) fn shown(stats: &MeterStats, format: Format) -> String {
    match format {
        Format::Csv => lines(stats),
        Format::Jsonl => json(stats),
    }
}

/// What became of records: for people a sentence, for programs one JSON object with the reasons that occurred.
pub(super) fn of_records<R: Read + Send>(source: &RecordSource<R>, format: Format) -> String {
    let (items, repeated) = (source.items(), source.repeated());
    match format {
        Format::Csv => format!("{}: {items}; repeated: {repeated}", source.name()),
        Format::Jsonl => {
            let passed_over: Map<_, _> = (items.passed_over.iter())
                .map(|(reason, count)| (reason.to_string(), count.into()))
                .collect();
            let refused: Map<_, _> = (items.refused.iter())
                .map(|(reason, count)| (reason.to_string(), count.into()))
                .collect();
            json!({
                "records": items.records,
                "passed_over": passed_over,
                "refused": refused,
                "repeated": repeated,
            })
            .to_string()
        }
    }
}

fn lines(stats: &MeterStats) -> String {
    let mut lines = Vec::new();
    for (name, count) in stats.counters() {
        lines.push((name.replace('_', " "), count, ""));
        if name == "packets_not_metered" {
            let occurred = stats.not_metered_by_reason().filter(|(_, count)| *count > 0);
            lines.extend(
                occurred.map(|(reason, count)| (format!("  {}", reason.name()), count, reason.meaning())),
            );
        }
    }
    let width = |cell: fn(&(String, u64, &str)) -> usize| lines.iter().map(cell).max().unwrap_or(0);
    let names = width(|(name, _, _)| name.len());
    let counts = width(|(_, count, _)| count.to_string().len());
    lines
        .iter()
        .map(|(name, count, meaning)| {
            format!("{name:names$}  {count:>counts$}  {meaning}")
                .trim_end()
                .to_owned()
                + "\n"
        })
        .collect()
}

fn json(stats: &MeterStats) -> String {
    let object = |members: Vec<(&str, u64)>| {
        let members = members
            .into_iter()
            .map(|(name, count)| format!("\"{name}\":{count}"));
        members.collect::<Vec<_>>().join(",")
    };
    let counters = object(stats.counters().collect());
    let reasons = object(stats.not_metered_reasons().collect());
    format!("{{{counters},\"not_metered\":{{{reasons}}}}}\n")
}

#[cfg(test)]
mod tests {
    use netsage_capture::{LinkType, Meter, MeterConfig, Packet};

    use super::*;

    fn stats() -> MeterStats {
        let mut meter = Meter::new(MeterConfig::default());
        for link in [LinkType::RawIp, LinkType::Other(147), LinkType::Other(147)] {
            meter.packet(&Packet {
                link,
                time_ns: 0,
                wire_length: 1_000,
                bytes: &[0x45],
            });
        }
        meter.stats().clone()
    }

    #[test]
    fn people_get_aligned_lines_and_what_occurred() {
        let text = shown(&stats(), Format::Csv);
        let start: Vec<_> = text.lines().take(6).collect();
        assert_eq!(
            start,
            [
                "packets                       3",
                "bytes                      3000",
                "packets metered               0",
                "packets not metered           3",
                "  link_type                   2  the link type is not read",
                "  ipv4_header                 1  IPv4 header cut off or malformed",
            ]
        );
    }

    #[test]
    fn programs_get_one_object_with_every_reason() {
        let text = shown(&stats(), Format::Jsonl);
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["packets"], 3);
        assert_eq!(object["not_metered"]["link_type"], 2);
        assert_eq!(object["not_metered"]["udp_header"], 0);
        assert_eq!(text.lines().count(), 1);
    }
}
