//! `flow-v1`: the columns that a gateway should use.
//!
//! - **Causal.** A row says nothing that was not known when its record ended, and every value is a function of
//!   packets and their times alone: none depends on when a timer ran, so live capture and replay agree.
//! - **True units.** Seconds, bytes, packets; nothing is saturated or rounded.
//! - **Of no laboratory.** No addresses, no times-to-live, no sequence numbers, no source ports.
//!
//! A *record* is a flow, or 60 s of a flow that lasts longer. Packets, sizes, gaps and flags are those of the
//! record; the state, the service, the handshake and the first packets are those of the flow so far.
//!
//! # Sources and sessions
//! The *source* is the side that was seen first, by the rules of Argus, as in `unsw-nb15`. Two kinds of TCP flow are
//! turned round: one that began with a SYN-ACK and went on, and one of which neither SYN nor SYN-ACK was seen, when the
//! port of the first sender is that of a service (below 1024 or in the list of services) and the other port is none or a
//! higher one. A SYN-ACK that nothing but a reset follows was sent by its source, as scans send it.
//!
//! A SYN without ACK begins another flow on the same ports when its sequence number differs from the initial sequence
//! number of its side, or when the connection is over: reset, or FIN seen from either side. The first SYN of a connection
//! that comes late, after other packets of the connection, begins none. Argus knows no initial sequence numbers: it joins
//! a connection to one before it that did not end.
//!
//! # The window
//! The window of a record holds the flows whose first packet lies in the 60 s up to and including the first packet of
//! the record. Time is the time of the latest packet so far, so that a packet out of order does not turn time back; a
//! step back of more than 60 s empties the window. A flow is counted once, at its first packet, because a scan shows in
//! the flows that begin: their ends depend on timeouts, which differ by protocol and state and would tear one burst
//! apart. The record's own flow is in its window unless it began more than 60 s ago. A flow that is turned round changes
//! its place in the window, and its record counts as of the packet that turned it.
//!
//! The *service* of a flow is its protocol and destination port; for ICMP and ICMPv6 the type stands for the
//! port, for protocols without ports 0.
//!
//! A flow has *failed* when the destination answered a SYN by a reset and nothing else, or when it has not answered at
//! all 1 s after the first packet (1 s is the first retransmission timeout of RFC 6298). A later answer makes the flow
//! count as not failed again. Younger flows without an answer count as not failed.
//!
//! All of these are exact, unless more flows begin within 60 s than fit into the window's memory, a quarter of the
//! meter's: 40,000 flows for 64 MiB. Then the oldest flows leave early and the meter counts them. The window is shorter
//! then, and still exact for the time that it covers.

use crate::reference::{
    ARGUS, BERNAILLE, CIC, JIANG, JUNG, LEE, MOORE, NMAP, RFC_5103, RFC_7012, RFC_9293, ZEEK,
};
use crate::unsw_nb15::{PROTO, SERVICE};
use crate::{Column, Kind, Schema, Vocabulary};

/// State of a flow. For TCP the first state of this list that applies is taken.
///
/// - `refused`: a SYN that was answered by RST and nothing else
/// - `aborted`: the source reset the connection after the SYN-ACK instead of completing it
/// - `reset-src`, `reset-dst`: reset, first by that side
/// - `closed`: FIN from both sides
/// - `half-closed`: FIN from one side
/// - `established`: the handshake was completed
/// - `half-open`: SYN-ACK seen, the handshake not completed
/// - `attempt`: a SYN that was not answered
/// - `midstream`: TCP whose beginning was not seen
/// - `two-way`, `one-way`: any other protocol, with packets from both sides or one
pub static STATE: Vocabulary = Vocabulary {
    id: "flow-v1/state@1",
    terms: &[
        "refused",
        "aborted",
        "reset-src",
        "reset-dst",
        "closed",
        "half-closed",
        "established",
        "half-open",
        "attempt",
        "midstream",
        "two-way",
        "one-way",
    ],
};

/// Length of the window, in nanoseconds.
pub const WINDOW_NS: i64 = 60_000_000_000;

/// How long after its first packet a flow without an answer counts as failed, in nanoseconds.
pub const ANSWER_NS: i64 = 1_000_000_000;

/// The columns for live traffic.
pub static FLOW_V1: Schema = Schema {
    id: "flow-v1",
    version: 1,
    purpose: "What a gateway should use: causal, in true units, and free of what only one laboratory has.",
    #[rustfmt::skip]
    columns: &[
        Column::new("proto", "", Kind::Nominal(&PROTO), "IP protocol by name, or `arp`.", "Parts traffic that has nothing in common.", &[&RFC_7012]),
        Column::new("service", "", Kind::Nominal(&SERVICE), "Application protocol confirmed from the first bytes of the flow; `-` when unknown.", "What is normal depends on what is spoken; an unknown protocol on a known port stands out.", &[&ZEEK]),
        Column::new("state", "", Kind::Nominal(&STATE), "What the flow has come to by the end of the record, by the flags of its packets since its first; see the terms.", "Tells completed connections from attempts, refusals and scans.", &[&ZEEK, &RFC_9293]),
        Column::new("duration", "s", Kind::Continuous, "Time from the first to the last packet of the record, over both directions.", "Tells single exchanges from sessions.", &[&RFC_7012]),
        Column::new("src_packets", "packets", Kind::Count, "Packets from the source.", "Size of the request side: floods, bulk upload.", &[&RFC_5103, &RFC_7012]),
        Column::new("dst_packets", "packets", Kind::Count, "Packets from the destination.", "Size of the answer; 0 when nobody answered.", &[&RFC_5103, &RFC_7012]),
        Column::new("src_bytes", "bytes", Kind::Count, "Bytes of the IP packets from the source, by the lengths in their headers: without link header (with it when the meter is told so), and without padding or whatever else follows the packet.", "Upload: exfiltration, flooding.", &[&RFC_5103, &RFC_7012]),
        Column::new("dst_bytes", "bytes", Kind::Count, "Bytes of the IP packets from the destination, by the lengths in their headers: without link header (with it when the meter is told so), and without padding or whatever else follows the packet.", "Download: answers, amplification.", &[&RFC_5103, &RFC_7012]),
        Column::new("src_payload", "bytes", Kind::Count, "Bytes that TCP or UDP carried from the source, repeated ones included; 0 for other protocols.", "Content sent, apart from the cost of sending it; 0 for scans.", &[&MOORE]),
        Column::new("dst_payload", "bytes", Kind::Count, "Bytes that TCP or UDP carried from the destination, repeated ones included; 0 for other protocols.", "Content received; 0 for ports that only acknowledge.", &[&MOORE]),
        Column::new("packet_rate", "packets/s", Kind::Continuous, "(src_packets + dst_packets - 1) / duration; 0 for one packet or duration 0.", "Floods and machine-made traffic are fast.", &[&CIC]),
        Column::new("src_packet_share", "", Kind::Continuous, "src_packets / (src_packets + dst_packets).", "One-sided flows: attempts, floods, one-way streams.", &[&MOORE]),
        Column::new("src_byte_share", "", Kind::Continuous, "src_bytes / (src_bytes + dst_bytes).", "Upload against download: exfiltration turns it round.", &[&MOORE]),
        Column::new("gap_mean", "s", Kind::Continuous, "Mean time between consecutive packets of the record, of either direction; a packet that is late counts as a gap of 0; 0 for fewer than two packets.", "The pace of the whole exchange.", &[&CIC, &MOORE]),
        Column::new("gap_std", "s", Kind::Continuous, "Population standard deviation of the times of gap_mean; 0 for fewer than two packets.", "Regularity of the pace of the whole exchange: programs keep time, people do not.", &[&CIC, &MOORE]),
        Column::new("gap_min", "s", Kind::Continuous, "Smallest of the times of gap_mean; 0 for fewer than two packets.", "Bursts; how fast the fastest reaction was.", &[&CIC, &MOORE]),
        Column::new("gap_max", "s", Kind::Continuous, "Largest of the times of gap_mean; 0 for fewer than two packets.", "Pauses: thinking people, waiting programs, slow attacks.", &[&CIC, &MOORE]),
        Column::new("src_gap_mean", "s", Kind::Continuous, "Mean time between consecutive packets of the record from the source; a packet that is late counts as a gap of 0; 0 for fewer than two packets.", "The pace of the source.", &[&CIC, &MOORE]),
        Column::new("src_gap_std", "s", Kind::Continuous, "Population standard deviation of the times of src_gap_mean; 0 for fewer than two packets.", "Regularity of the pace of the source: programs keep time, people do not.", &[&CIC, &MOORE]),
        Column::new("src_gap_min", "s", Kind::Continuous, "Smallest of the times of src_gap_mean; 0 for fewer than two packets.", "Bursts; how fast the fastest reaction was.", &[&CIC, &MOORE]),
        Column::new("src_gap_max", "s", Kind::Continuous, "Largest of the times of src_gap_mean; 0 for fewer than two packets.", "Pauses: thinking people, waiting programs, slow attacks.", &[&CIC, &MOORE]),
        Column::new("dst_gap_mean", "s", Kind::Continuous, "Mean time between consecutive packets of the record from the destination; a packet that is late counts as a gap of 0; 0 for fewer than two packets.", "The pace of the destination.", &[&CIC, &MOORE]),
        Column::new("dst_gap_std", "s", Kind::Continuous, "Population standard deviation of the times of dst_gap_mean; 0 for fewer than two packets.", "Regularity of the pace of the destination: programs keep time, people do not.", &[&CIC, &MOORE]),
        Column::new("dst_gap_min", "s", Kind::Continuous, "Smallest of the times of dst_gap_mean; 0 for fewer than two packets.", "Bursts; how fast the fastest reaction was.", &[&CIC, &MOORE]),
        Column::new("dst_gap_max", "s", Kind::Continuous, "Largest of the times of dst_gap_mean; 0 for fewer than two packets.", "Pauses: thinking people, waiting programs, slow attacks.", &[&CIC, &MOORE]),
        Column::new("src_size_mean", "bytes", Kind::Continuous, "Mean size of the packets from the source, as counted in src_bytes; 0 without a packet.", "Kind of content: keystrokes, requests, bulk.", &[&MOORE, &CIC]),
        Column::new("src_size_std", "bytes", Kind::Continuous, "Population standard deviation of the size of the packets from the source, as counted in src_bytes; 0 without a packet.", "Mixed content against the uniform packets of tools and tunnels.", &[&MOORE, &CIC]),
        Column::new("src_size_min", "bytes", Kind::Count, "Smallest size of the packets from the source, as counted in src_bytes; 0 without a packet.", "Whether there are bare acknowledgements or probes.", &[&MOORE, &RFC_7012]),
        Column::new("src_size_max", "bytes", Kind::Count, "Largest size of the packets from the source, as counted in src_bytes; 0 without a packet.", "Whether packets are filled.", &[&MOORE, &RFC_7012]),
        Column::new("dst_size_mean", "bytes", Kind::Continuous, "Mean size of the packets from the destination, as counted in dst_bytes; 0 without a packet.", "Kind of content: keystrokes, requests, bulk.", &[&MOORE, &CIC]),
        Column::new("dst_size_std", "bytes", Kind::Continuous, "Population standard deviation of the size of the packets from the destination, as counted in dst_bytes; 0 without a packet.", "Mixed content against the uniform packets of tools and tunnels.", &[&MOORE, &CIC]),
        Column::new("dst_size_min", "bytes", Kind::Count, "Smallest size of the packets from the destination, as counted in dst_bytes; 0 without a packet.", "Whether there are bare acknowledgements or probes.", &[&MOORE, &RFC_7012]),
        Column::new("dst_size_max", "bytes", Kind::Count, "Largest size of the packets from the destination, as counted in dst_bytes; 0 without a packet.", "Whether packets are filled.", &[&MOORE, &RFC_7012]),
        Column::new("syn_count", "packets", Kind::Count, "TCP segments with SYN in the record, from either side.", "Repeated attempts; more than two are tries that fail.", &[&RFC_9293, &RFC_7012]),
        Column::new("fin_count", "packets", Kind::Count, "TCP segments with FIN in the record, from either side.", "Orderly ends, and FIN scans.", &[&RFC_9293, &RFC_7012]),
        Column::new("rst_count", "packets", Kind::Count, "TCP segments with RST in the record, from either side.", "Refusals and broken connections.", &[&RFC_9293, &RFC_7012]),
        Column::new("psh_count", "packets", Kind::Count, "TCP segments with PSH in the record, from either side.", "Messages rather than bulk.", &[&RFC_9293, &RFC_7012]),
        Column::new("urg_count", "packets", Kind::Count, "TCP segments with URG in the record, from either side.", "Rare in honest traffic; telnet, Xmas scans, evasion.", &[&RFC_9293, &RFC_7012]),
        Column::new("odd_flags", "packets", Kind::Count, "TCP segments in the record that no connection has: SYN together with FIN or RST, or none of SYN, ACK and RST.", "NULL, FIN and Xmas scans, fingerprinting.", &[&RFC_9293, &NMAP]),
        Column::new("syn_ack_time", "s", Kind::Continuous, "Time from the last SYN of the source to the SYN-ACK that answers it; 0 when not seen.", "Distance and load of the destination.", &[&JIANG]),
        Column::new("ack_time", "s", Kind::Continuous, "Time from the SYN-ACK to the ACK that completes the handshake; 0 when not seen.", "Distance of the source; 0 together with a SYN-ACK is a half-open connection.", &[&JIANG]),
        Column::new("src_retransmissions", "packets", Kind::Count, "TCP segments of the record with which the source repeated a SYN, a FIN or data, by the rules of Argus.", "Congestion, and attempts that nobody answers.", &[&ARGUS]),
        Column::new("dst_retransmissions", "packets", Kind::Count, "TCP segments of the record with which the destination repeated a SYN, a FIN or data, by the rules of Argus.", "Congestion on the way back, and half-open connections.", &[&ARGUS]),
        Column::new("src_zero_windows", "packets", Kind::Count, "TCP segments of the record other than RST with which the source announced a window of 0.", "Clients that stall servers on purpose.", &[&RFC_9293]),
        Column::new("dst_zero_windows", "packets", Kind::Count, "TCP segments of the record other than RST with which the destination announced a window of 0.", "Servers that cannot keep up.", &[&RFC_9293]),
        Column::new("src_first_1", "bytes", Kind::Count, "Payload of the first packet with payload that the source sent in the flow (TCP or UDP; also when an earlier record had it); 0 when there was none.", "Fingerprint of the application and of tools: greetings and requests have their lengths.", &[&BERNAILLE]),
        Column::new("src_first_2", "bytes", Kind::Count, "Payload of the second packet with payload that the source sent in the flow (TCP or UDP; also when an earlier record had it); 0 when there was none.", "Fingerprint of the application and of tools: greetings and requests have their lengths.", &[&BERNAILLE]),
        Column::new("src_first_3", "bytes", Kind::Count, "Payload of the third packet with payload that the source sent in the flow (TCP or UDP; also when an earlier record had it); 0 when there was none.", "Fingerprint of the application and of tools: greetings and requests have their lengths.", &[&BERNAILLE]),
        Column::new("dst_first_1", "bytes", Kind::Count, "Payload of the first packet with payload that the destination sent in the flow (TCP or UDP; also when an earlier record had it); 0 when there was none.", "Fingerprint of the application and of tools: greetings and requests have their lengths.", &[&BERNAILLE]),
        Column::new("dst_first_2", "bytes", Kind::Count, "Payload of the second packet with payload that the destination sent in the flow (TCP or UDP; also when an earlier record had it); 0 when there was none.", "Fingerprint of the application and of tools: greetings and requests have their lengths.", &[&BERNAILLE]),
        Column::new("dst_first_3", "bytes", Kind::Count, "Payload of the third packet with payload that the destination sent in the flow (TCP or UDP; also when an earlier record had it); 0 when there was none.", "Fingerprint of the application and of tools: greetings and requests have their lengths.", &[&BERNAILLE]),
        Column::new("first_gap_1", "s", Kind::Continuous, "Time from the first to the second packet with payload of the flow, of either direction; 0 when there was none.", "How fast the first answer comes, and who waits for whom.", &[&BERNAILLE, &MOORE]),
        Column::new("first_gap_2", "s", Kind::Continuous, "Time from the second to the third packet with payload of the flow, of either direction; 0 when there was none.", "How fast the first answer comes, and who waits for whom.", &[&BERNAILLE, &MOORE]),
        Column::new("src_flows", "flows", Kind::Count, "Flows in the window from the same source address.", "Sources with many connections: scans, worms, brute force.", &[&LEE]),
        Column::new("src_peers", "hosts", Kind::Count, "Distinct destination addresses of the flows of src_flows.", "Sweeps over many hosts.", &[&LEE, &JUNG]),
        Column::new("src_ports", "ports", Kind::Count, "Distinct services of the flows of src_flows.", "Port scans, also over many hosts.", &[&LEE, &JUNG]),
        Column::new("src_failed", "", Kind::Continuous, "Failed flows among those of src_flows, this one left out of both numbers; 0 when there is no other.", "A scanner does not know who will answer, an ordinary host does.", &[&JUNG, &LEE]),
        Column::new("dst_flows", "flows", Kind::Count, "Flows in the window to the same destination address.", "Destinations under many connections: floods, busy servers.", &[&LEE]),
        Column::new("dst_peers", "hosts", Kind::Count, "Distinct source addresses of the flows of dst_flows.", "Distributed floods and scans.", &[&LEE]),
        Column::new("dst_ports", "ports", Kind::Count, "Distinct services of the flows of dst_flows.", "Hosts that are being scanned, by whomever.", &[&LEE]),
        Column::new("dst_failed", "", Kind::Continuous, "Failed flows among those of dst_flows, this one left out of both numbers; 0 when there is no other.", "Hosts that are down or overloaded, or refuse what is asked.", &[&LEE]),
        Column::new("service_flows", "flows", Kind::Count, "Flows in the window to the same service, whatever the hosts.", "Waves on one service: worms, amplification.", &[&LEE]),
        Column::new("service_sources", "hosts", Kind::Count, "Distinct source addresses of the flows of service_flows.", "Many hosts that begin to speak the same: worms, botnets.", &[&LEE]),
        Column::new("service_destinations", "hosts", Kind::Count, "Distinct destination addresses of the flows of service_flows.", "Sweeps of one port.", &[&LEE]),
        Column::new("service_failed", "", Kind::Continuous, "Failed flows among those of service_flows, this one left out of both numbers; 0 when there is no other.", "Services that are asked for and not there.", &[&LEE]),
        Column::new("pair_flows", "flows", Kind::Count, "Flows in the window from the same source to the same destination address.", "Brute force and vertical scans.", &[&LEE]),
        Column::new("pair_ports", "ports", Kind::Count, "Distinct services of the flows of pair_flows.", "Vertical port scans.", &[&LEE, &JUNG]),
        Column::new("pair_failed", "", Kind::Continuous, "Failed flows among those of pair_flows, this one left out of both numbers; 0 when there is no other.", "Tells a scan from a busy but ordinary pair.", &[&JUNG, &LEE]),
    ],
};
