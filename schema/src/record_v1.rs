//! `record-v1`: the columns that the record of any flow meter fills.
//!
//! - **Of any meter.** The meter of captures, Zeek, Suricata, Argus, exporters of NetFlow and IPFIX: what all of them say,
//!   in the same units. One detector serves a site with Zeek here and packets there.
//! - **Causal.** A row says nothing that was not known when its record ended, and depends neither on the order in which
//!   records arrive nor on when a timer ran.
//! - **Honest about gaps.** What a meter does not say is 0, and the columns `..._missing` tell that 0 from one that was
//!   measured: 1 for each group of columns that goes missing together.
//!
//! A *record* is what the meter calls one: a flow, or a part of a flow that the meter reports on its own, as Argus and
//! exporters do with long ones. The meter of captures gives the records of `flow-v1`. Times are whole microseconds.
//!
//! # The window
//! Records are put in the order of their last packets, and those that end in the same microsecond in the order of their
//! ids. The window of a record holds the records before it in that order whose last packets lie less than 60 s before its
//! own, and the record itself. Records are counted when they end, since that is when most meters first speak of a flow.
//! Equal records count once.
//!
//! A record that arrives after one behind it has left (a late one) is counted among those that are there at that time, and
//! counts from then on as if it had ended just then.
//!
//! Trailing counts belong to one partition of a stream: those of a destination or a service say nothing of what other
//! partitions hold, and do not depend on how many programs share the stream. All records of one network in one file are one
//! partition.
//!
//! The *service* of a record is its protocol and destination port; for ICMP and ICMPv6 the type stands for the port, for
//! protocols without ports 0. Hosts and services of two networks are never the same ones, whatever their addresses.
//!
//! A record has *failed* when its state is `attempt`, `refused` or `one-way`, or when its state is `midstream` or unknown and
//! no packet came from the destination.
//!
//! All of these are exact, unless more records end within 60 s than fit into the window's memory. Then the oldest records
//! leave early and are counted. The window is shorter then, and still exact for the time that it covers.
//!
//! The meter of captures lets a record leave 60 s after its last packet, when no other record can precede it. A file of
//! records of another meter is read whole before its first row.

use crate::reference::{ARGUS, CIC, JUNG, LEE, MOORE, RFC_5103, RFC_7012, RFC_9293, ZEEK};
use crate::unsw_nb15::{PROTO, SERVICE};
use crate::{Column, Kind, Schema, Vocabulary};

/// State of a flow, as far as meters agree on states.
///
/// - `-`: the meter says nothing of it
/// - `attempt`: a beginning that was not answered
/// - `refused`: a beginning that was answered by RST and nothing else
/// - `established`: both sides have spoken, and neither reset the connection nor did both close it
/// - `closed`: closed by both sides
/// - `reset`: reset by either side, other than a refusal
/// - `midstream`: TCP whose beginning was not seen
/// - `two-way`, `one-way`: any other protocol, with packets from both sides or one
pub static STATE: Vocabulary = Vocabulary {
    id: "record-v1/state@1",
    terms: &[
        "-",
        "attempt",
        "refused",
        "established",
        "closed",
        "reset",
        "midstream",
        "two-way",
        "one-way",
    ],
};

/// Which bytes of a packet a meter counts: IP packets, whole frames, or what TCP and UDP carried.
pub static BYTES: Vocabulary = Vocabulary {
    id: "record-v1/bytes@1",
    terms: &["network", "link", "payload"],
};

/// The columns for records of any meter.
pub static RECORD_V1: Schema = Schema {
    id: "record-v1",
    version: 1,
    purpose: "What the record of any flow meter says, so that one detector serves sites with different meters. It says \
              less than `flow-v1`, which needs packets.",
    #[rustfmt::skip]
    columns: &[
        Column::new("proto", "", Kind::Nominal(&PROTO), "IP protocol by name, or `arp`.", "Parts traffic that has nothing in common.", &[&RFC_7012]),
        Column::new("service", "", Kind::Nominal(&SERVICE), "Application protocol that the meter recognised; `-` when it recognised none or does not look (service_missing).", "What is normal depends on what is spoken; an unknown protocol on a known port stands out.", &[&ZEEK]),
        Column::new("state", "", Kind::Nominal(&STATE), "What the flow has come to by the end of the record; see the terms.", "Tells completed connections from attempts, refusals and scans.", &[&ZEEK, &RFC_9293]),
        Column::new("duration", "s", Kind::Continuous, "Time from the first to the last packet of the record, over both directions, in whole microseconds.", "Tells single exchanges from sessions.", &[&RFC_7012]),
        Column::new("src_packets", "packets", Kind::Count, "Packets from the source.", "Size of the request side: floods, bulk upload.", &[&RFC_5103, &RFC_7012]),
        Column::new("dst_packets", "packets", Kind::Count, "Packets from the destination.", "Size of the answer; 0 when nobody answered.", &[&RFC_5103, &RFC_7012]),
        Column::new("src_bytes", "bytes", Kind::Count, "Bytes from the source, of the kind that bytes_of names.", "Upload: exfiltration, flooding.", &[&RFC_5103, &RFC_7012]),
        Column::new("dst_bytes", "bytes", Kind::Count, "Bytes from the destination, of the kind that bytes_of names.", "Download: answers, amplification.", &[&RFC_5103, &RFC_7012]),
        Column::new("bytes_of", "", Kind::Nominal(&BYTES), "Which bytes the meter counts: `network` by the lengths in IP headers, `link` whole frames, `payload` what TCP and UDP carried.", "Keeps sizes of different meters apart where they cannot agree.", &[&RFC_7012, &ARGUS]),
        Column::new("packet_rate", "packets/s", Kind::Continuous, "(src_packets + dst_packets - 1) / duration; 0 for one packet or duration 0.", "Floods and machine-made traffic are fast.", &[&CIC]),
        Column::new("byte_rate", "bytes/s", Kind::Continuous, "(src_bytes + dst_bytes) / duration; 0 for duration 0.", "Bulk transfer against interactive use.", &[&CIC]),
        Column::new("src_packet_share", "", Kind::Continuous, "src_packets / (src_packets + dst_packets); 0 without packets.", "One-sided flows: attempts, floods, one-way streams.", &[&MOORE]),
        Column::new("src_byte_share", "", Kind::Continuous, "src_bytes / (src_bytes + dst_bytes); 0 without bytes.", "Upload against download: exfiltration turns it round.", &[&MOORE]),
        Column::new("src_size_mean", "bytes", Kind::Continuous, "src_bytes / src_packets; 0 without a packet.", "Kind of content: keystrokes, requests, bulk.", &[&MOORE, &CIC]),
        Column::new("dst_size_mean", "bytes", Kind::Continuous, "dst_bytes / dst_packets; 0 without a packet.", "Kind of content that comes back.", &[&MOORE, &CIC]),
        Column::new("src_flows", "records", Kind::Count, "Records in the window from the same source address.", "Sources with many connections: scans, worms, brute force.", &[&LEE]),
        Column::new("src_peers", "hosts", Kind::Count, "Distinct destination addresses of the records of src_flows.", "Sweeps over many hosts.", &[&LEE, &JUNG]),
        Column::new("src_ports", "ports", Kind::Count, "Distinct services of the records of src_flows.", "Port scans, also over many hosts.", &[&LEE, &JUNG]),
        Column::new("src_failed", "", Kind::Continuous, "Failed records among those of src_flows, this one left out of both numbers; 0 when there is no other.", "A scanner does not know who will answer, an ordinary host does.", &[&JUNG, &LEE]),
        Column::new("dst_flows", "records", Kind::Count, "Records in the window to the same destination address.", "Destinations under many connections: floods, busy servers.", &[&LEE]),
        Column::new("dst_peers", "hosts", Kind::Count, "Distinct source addresses of the records of dst_flows.", "Distributed floods and scans.", &[&LEE]),
        Column::new("dst_ports", "ports", Kind::Count, "Distinct services of the records of dst_flows.", "Hosts that are being scanned, by whomever.", &[&LEE]),
        Column::new("dst_failed", "", Kind::Continuous, "Failed records among those of dst_flows, this one left out of both numbers; 0 when there is no other.", "Hosts that are down or overloaded, or refuse what is asked.", &[&LEE]),
        Column::new("service_flows", "records", Kind::Count, "Records in the window to the same service, whatever the hosts.", "Waves on one service: worms, amplification.", &[&LEE]),
        Column::new("service_sources", "hosts", Kind::Count, "Distinct source addresses of the records of service_flows.", "Many hosts that begin to speak the same: worms, botnets.", &[&LEE]),
        Column::new("service_destinations", "hosts", Kind::Count, "Distinct destination addresses of the records of service_flows.", "Sweeps of one port.", &[&LEE]),
        Column::new("service_failed", "", Kind::Continuous, "Failed records among those of service_flows, this one left out of both numbers; 0 when there is no other.", "Services that are asked for and not there.", &[&LEE]),
        Column::new("pair_flows", "records", Kind::Count, "Records in the window from the same source to the same destination address.", "Brute force and vertical scans.", &[&LEE]),
        Column::new("pair_ports", "ports", Kind::Count, "Distinct services of the records of pair_flows.", "Vertical port scans.", &[&LEE, &JUNG]),
        Column::new("pair_failed", "", Kind::Continuous, "Failed records among those of pair_flows, this one left out of both numbers; 0 when there is no other.", "Tells a scan from a busy but ordinary pair.", &[&JUNG, &LEE]),
        Column::new("service_missing", "", Kind::Flag, "1 when the meter does not look for application protocols: service is 0.", "Tells an unknown protocol from one that nobody looked at.", &[&RFC_7012]),
        Column::new("state_missing", "", Kind::Flag, "1 when the meter says nothing of the state: state is 0.", "Tells records whose state is unknown.", &[&RFC_7012]),
        Column::new("packets_missing", "", Kind::Flag, "1 when the meter does not count packets of each direction: src_packets, dst_packets, packet_rate, src_packet_share and both size_mean are 0.", "Tells a silent side from one that was not counted.", &[&RFC_7012]),
        Column::new("bytes_missing", "", Kind::Flag, "1 when the meter does not count bytes of each direction: src_bytes, dst_bytes, byte_rate, src_byte_share and both size_mean are 0.", "Tells an empty side from one that was not counted.", &[&RFC_7012]),
        Column::new("sampled", "", Kind::Flag, "1 when the meter looked at one in several packets, and packets and bytes are multiplied by that number.", "Counts of sampled records are estimates: what was short may not be there at all.", &[&RFC_7012]),
    ],
};

/// The kinds of records, in the order of [`Origin::of`].
pub const METERS: [&str; 6] = [
    "captures (the meter of this program)",
    "own JSON",
    "Zeek `conn.log`",
    "Suricata EVE `flow`",
    "Argus `ra`",
    "NetFlow, IPFIX",
];

/// Where some columns come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Names of columns.
    pub columns: &'static [&'static str],
    /// The fields that the columns are computed from, per kind of record as in [`METERS`].
    pub of: [&'static str; 6],
}

const COMPUTED: &str = "computed here";

/// Where every column comes from.
#[rustfmt::skip]
pub const ORIGINS: &[Origin] = &[
    Origin { columns: &["proto"], of: ["IP header", "`protocol`", "`proto`", "`proto`", "`proto`", "4"] },
    Origin { columns: &["service"], of: ["first bytes of the flow", "`service`", "`service`, names of the vocabulary", "`app_proto`, names of the vocabulary", "missing", "missing"] },
    Origin { columns: &["state"], of: ["flags of the packets since the first of the flow", "`state`", "`conn_state` for TCP, else packets of each side", "`tcp.tcp_flags_ts`, `tcp.tcp_flags_tc`, `flow.state` for TCP, else packets of each side", "`state` (with `-Z b` the flags of each side) for TCP, else packets of each side", "6 of each side for TCP, else packets of each side"] },
    Origin { columns: &["duration"], of: ["first and last packet of the record", "`start_us`, `end_us`", "`duration`; 0 where unset", "`flow.start`, `flow.end`", "`stime`, `ltime` or `dur`", "22, 21 or 150 to 157"] },
    Origin { columns: &["src_packets", "dst_packets"], of: ["counted", "`source_packets`, `destination_packets`", "`orig_pkts`, `resp_pkts`", "`flow.pkts_toserver`, `flow.pkts_toclient`", "two of `pkts`, `spkts`, `dpkts`", "2 of each direction (of the reverse one where there is one), times the sampling rate"] },
    Origin { columns: &["src_bytes", "dst_bytes"], of: ["lengths in IP headers", "`source_bytes`, `destination_bytes`", "`orig_ip_bytes`, `resp_ip_bytes`; without these `orig_bytes`, `resp_bytes`", "`flow.bytes_toserver`, `flow.bytes_toclient`", "two of `bytes`, `sbytes`, `dbytes`", "1 of each direction (of the reverse one where there is one), times the sampling rate"] },
    Origin { columns: &["bytes_of"], of: ["`network`; `link` with `--count-link-bytes`", "`bytes_of`", "`network`; `payload` without `*_ip_bytes`", "`link`", "`link`", "`network`"] },
    Origin { columns: &["packet_rate", "byte_rate", "src_packet_share", "src_byte_share", "src_size_mean", "dst_size_mean"], of: [COMPUTED; 6] },
    Origin { columns: &["src_flows", "src_peers", "src_ports", "src_failed", "dst_flows", "dst_peers", "dst_ports", "dst_failed", "service_flows", "service_sources", "service_destinations", "service_failed", "pair_flows", "pair_ports", "pair_failed"], of: [COMPUTED; 6] },
    Origin { columns: &["service_missing"], of: ["0", "1 without the field", "1 without the column", "0", "1", "1"] },
    Origin { columns: &["state_missing"], of: ["0", "1 without the field", "1 without what tells it", "1 without what tells it", "1 without what tells it", "1 for TCP without flags"] },
    Origin { columns: &["packets_missing"], of: ["0", "1 without the fields", "1 without the columns or where unset", "1 without the fields", "1 without the columns", "0"] },
    Origin { columns: &["bytes_missing"], of: ["0", "1 without the fields", "1 without the columns or where unset", "1 without the fields", "1 without the columns", "0"] },
    Origin { columns: &["sampled"], of: ["0", "`sampling` above 1", "0", "0", "0", "1 at a rate above 1"] },
];
