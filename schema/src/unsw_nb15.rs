//! The columns of UNSW-NB15 (Moustafa and Slay, 2015), in the order of its training partition.
//!
//! Where the dataset differs from common sense, its behaviour is the definition. The meter's module
//! `features` implements the rules.

use crate::{Column, Kind, Schema, Vocabulary};

/// Protocols, those of ordinary traffic first (by frequency), then the rest of the dataset, then those
/// that only live traffic has.
pub static PROTO: Vocabulary = Vocabulary {
    id: "unsw-nb15/proto@1",
    #[rustfmt::skip]
    terms: &[
        "tcp", "udp", "arp", "ospf", "igmp", "icmp", "rtp", "3pc", "a/n", "aes-sp3-d", "any", "argus",
        "aris", "ax.25", "bbn-rcc", "bna", "br-sat-mon", "cbt", "cftp", "chaos", "compaq-peer", "cphb",
        "cpnx", "crtp", "crudp", "dcn", "ddp", "ddx", "dgp", "egp", "eigrp", "emcon", "encap", "etherip",
        "fc", "fire", "ggp", "gmtp", "gre", "hmp", "i-nlsp", "iatp", "ib", "idpr", "idpr-cmtp", "idrp",
        "ifmp", "igp", "il", "ip", "ipcomp", "ipcv", "ipip", "iplt", "ipnip", "ippc", "ipv6", "ipv6-frag",
        "ipv6-no", "ipv6-opts", "ipv6-route", "ipx-n-ip", "irtp", "isis", "iso-ip", "iso-tp4", "kryptolan",
        "l2tp", "larp", "leaf-1", "leaf-2", "merit-inp", "mfe-nsp", "mhrp", "micp", "mobile", "mtp", "mux",
        "narp", "netblt", "nsfnet-igp", "nvp", "pgm", "pim", "pipe", "pnni", "pri-enc", "prm", "ptp", "pup",
        "pvp", "qnx", "rdp", "rsvp", "rvd", "sat-expak", "sat-mon", "sccopmce", "scps", "sctp", "sdrp",
        "secure-vmtp", "sep", "skip", "sm", "smp", "snp", "sprite-rpc", "sps", "srp", "st2", "stp",
        "sun-nd", "swipe", "tcf", "tlsp", "tp++", "trunk-1", "trunk-2", "ttp", "unas", "uti", "vines",
        "visa", "vmtp", "vrrp", "wb-expak", "wb-mon", "wsn", "xnet", "xns-idp", "xtp", "zero", "ipv6-icmp",
        "udplite", "manet", "shim6", "hip", "esp", "ah", "rsvp-e2e-ignore", "mpls-in-ip", "llc", "ipx",
        "other",
    ],
};

/// Application protocols, ordered as in [`PROTO`].
pub static SERVICE: Vocabulary = Vocabulary {
    id: "unsw-nb15/service@1",
    #[rustfmt::skip]
    terms: &[
        "-", "dns", "http", "ftp-data", "smtp", "ssh", "ftp", "pop3", "radius", "snmp", "dhcp",
        "irc", "ssl",
    ],
};

/// Connection states, ordered as in [`PROTO`].
pub static STATE: Vocabulary = Vocabulary {
    id: "unsw-nb15/state@1",
    #[rustfmt::skip]
    terms: &[
        "FIN", "CON", "INT", "REQ", "RST", "ECO", "PAR", "URN", "no", "ACC", "CLO", "URH", "TIM",
        "RSP", "ECR", "URP", "TXD", "SRC", "RED", "TST", "TSR", "IRQ", "IRR", "MAS", "MSR", "RTA",
        "RTS", "URF", "URS", "NNS", "NNA", "NRS", "NRA", "MHQ", "MHR", "PTB", "MLQ", "MLR", "MLD",
    ],
};

const fn column(name: &'static str, unit: &'static str, kind: Kind, definition: &'static str) -> Column {
    Column {
        name,
        unit,
        kind,
        definition,
    }
}

/// The 42 feature columns of the dataset's training and testing partitions.
pub static UNSW_NB15: Schema = Schema {
    id: "unsw-nb15",
    version: 1,
    #[rustfmt::skip]
    columns: &[
        column("dur", "s", Kind::Continuous, "Last minus first packet time, over both directions."),
        column("proto", "", Kind::Nominal(&PROTO), "IP protocol by name, or `arp`."),
        column("service", "", Kind::Nominal(&SERVICE), "Application protocol confirmed from the first bytes; `-` when unknown."),
        column("state", "", Kind::Nominal(&STATE), "State of the connection as Argus names it."),
        column("spkts", "packets", Kind::Count, "Packets from the source."),
        column("dpkts", "packets", Kind::Count, "Packets from the destination."),
        column("sbytes", "bytes", Kind::Count, "Bytes from the source, on the wire, without link header."),
        column("dbytes", "bytes", Kind::Count, "Bytes from the destination, on the wire, without link header."),
        column("rate", "packets/s", Kind::Continuous, "(spkts + dpkts - 1) / dur; 0 for one packet or dur 0."),
        column("sttl", "hops", Kind::Count, "TTL of the last packet from the source."),
        column("dttl", "hops", Kind::Count, "TTL of the last packet from the destination."),
        column("sload", "bit/s", Kind::Continuous, "8 * (sbytes - floor(sbytes / spkts)) / dur; 0 for one packet."),
        column("dload", "bit/s", Kind::Continuous, "8 * (dbytes - floor(dbytes / dpkts)) / dur; 0 for one packet."),
        column("sloss", "packets", Kind::Count, "TCP segments retransmitted by the source."),
        column("dloss", "packets", Kind::Count, "TCP segments retransmitted by the destination."),
        column("sinpkt", "ms", Kind::Continuous, "Mean gap between packets from the source; zero gaps and gaps of two status intervals or more do not count."),
        column("dinpkt", "ms", Kind::Continuous, "Mean gap between packets from the destination, by the rule of sinpkt."),
        column("sjit", "ms", Kind::Continuous, "Standard deviation of the gaps of sinpkt, with the unit error of `ra` where active and idle gaps both exist."),
        column("djit", "ms", Kind::Continuous, "Standard deviation of the gaps of dinpkt, by the rule of sjit."),
        column("swin", "bytes", Kind::Count, "min(255, last non-zero TCP window of the source after scaling); 0 when only a SYN was seen."),
        column("stcpb", "", Kind::Count, "Initial TCP sequence number of the source."),
        column("dtcpb", "", Kind::Count, "Initial TCP sequence number of the destination."),
        column("dwin", "bytes", Kind::Count, "min(255, last non-zero TCP window of the destination after scaling)."),
        column("tcprtt", "s", Kind::Continuous, "synack + ackdat."),
        column("synack", "s", Kind::Continuous, "Time from the last SYN to the SYN-ACK."),
        column("ackdat", "s", Kind::Continuous, "Time from the SYN-ACK to the ACK."),
        column("smean", "bytes", Kind::Count, "sbytes / spkts, rounded half up."),
        column("dmean", "bytes", Kind::Count, "dbytes / dpkts, rounded half up."),
        column("trans_depth", "requests", Kind::Count, "Depth of the last HTTP request in the connection."),
        column("response_body_len", "bytes", Kind::Count, "Body length of the HTTP reply."),
        column("ct_srv_src", "records", Kind::Count, "Records of the block of 100 with the same service and source address."),
        column("ct_state_ttl", "", Kind::Count, "Bucket from state, sttl and dttl; 0 to 6, not a count."),
        column("ct_dst_ltm", "records", Kind::Count, "Records of the block of 100 with the same destination address and the same second of the last packet."),
        column("ct_src_dport_ltm", "records", Kind::Count, "Records of the block with the same source address, destination port and second."),
        column("ct_dst_sport_ltm", "records", Kind::Count, "Records of the block with the same destination address, source port and second."),
        column("ct_dst_src_ltm", "records", Kind::Count, "Records of the block with the same source and destination address and second."),
        column("is_ftp_login", "logins", Kind::Count, "FTP logins with user and password; documented as a flag, yet reaches 2 in the data."),
        column("ct_ftp_cmd", "commands", Kind::Count, "Equal to is_ftp_login in 99.99 % of the rows."),
        column("ct_flw_http_mthd", "requests", Kind::Count, "HTTP requests in the connection; equal to trans_depth in nearly all rows."),
        column("ct_src_ltm", "records", Kind::Count, "Records of the block with the same source address and second."),
        column("ct_srv_dst", "records", Kind::Count, "Records of the block of 100 with the same service and destination address."),
        column("is_sm_ips_ports", "", Kind::Flag, "1 when both addresses are equal and both ports are equal."),
    ],
};

/// Columns that give the label away in this dataset: the time-to-live of its laboratory. Every figure is
/// quoted with and without them.
pub const TTL_TRIO: [&str; 3] = ["sttl", "dttl", "ct_state_ttl"];

/// Columns that carry no information (initial sequence numbers, unusable in the recovered training rows).
pub const SEQUENCE_NUMBERS: [&str; 2] = ["stcpb", "dtcpb"];
