//! The columns of UNSW-NB15 (Moustafa and Slay, 2015), in the order of its training partition.
//!
//! Where the dataset differs from common sense, its behaviour is the definition. The meter's module
//! `features` implements the rules.

use crate::reference::{ARGUS, UNSW, ZEEK};
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

/// The 42 feature columns of the dataset's training and testing partitions.
pub static UNSW_NB15: Schema = Schema {
    id: "unsw-nb15",
    version: 1,
    purpose: "The columns of the dataset UNSW-NB15, its defects included, so that figures can be compared with \
              published ones. Some columns give the dataset's attacks away, and its window counts look into the \
              future: for live traffic use `flow-v1`.",
    #[rustfmt::skip]
    columns: &[
        Column::new("dur", "s", Kind::Continuous, "Last minus first packet time, over both directions.", "Tells single exchanges from sessions.", &[&ARGUS]),
        Column::new("proto", "", Kind::Nominal(&PROTO), "IP protocol by name, or `arp`.", "Parts traffic that has nothing in common.", &[&ARGUS]),
        Column::new("service", "", Kind::Nominal(&SERVICE), "Application protocol confirmed from the first bytes; `-` when unknown.", "What is normal depends on what is spoken.", &[&ZEEK]),
        Column::new("state", "", Kind::Nominal(&STATE), "State of the connection as Argus names it.", "Tells completed connections from attempts and refusals.", &[&ARGUS]),
        Column::new("spkts", "packets", Kind::Count, "Packets from the source.", "Size of the request side.", &[&ARGUS]),
        Column::new("dpkts", "packets", Kind::Count, "Packets from the destination.", "Size of the answer; 0 for attempts that nobody answered.", &[&ARGUS]),
        Column::new("sbytes", "bytes", Kind::Count, "Bytes from the source, on the wire, without link header.", "Upload: exfiltration, flooding.", &[&ARGUS]),
        Column::new("dbytes", "bytes", Kind::Count, "Bytes from the destination, on the wire, without link header.", "Download: answers, amplification.", &[&ARGUS]),
        Column::new("rate", "packets/s", Kind::Continuous, "(spkts + dpkts - 1) / dur; 0 for one packet or dur 0.", "Floods and machine-made traffic are fast.", &[&ARGUS]),
        Column::new("sttl", "hops", Kind::Count, "TTL of the last packet from the source.", "Gives this dataset away: the attack hosts stood at another distance. Leave it out elsewhere.", &[&ARGUS]),
        Column::new("dttl", "hops", Kind::Count, "TTL of the last packet from the destination.", "Gives this dataset away, as sttl does.", &[&ARGUS]),
        Column::new("sload", "bit/s", Kind::Continuous, "8 * (sbytes - floor(sbytes / spkts)) / dur; 0 for one packet.", "Bulk upload against interactive use.", &[&ARGUS]),
        Column::new("dload", "bit/s", Kind::Continuous, "8 * (dbytes - floor(dbytes / dpkts)) / dur; 0 for one packet.", "Bulk download against interactive use.", &[&ARGUS]),
        Column::new("sloss", "packets", Kind::Count, "TCP segments retransmitted by the source.", "Congestion, and tries that nobody answers.", &[&ARGUS]),
        Column::new("dloss", "packets", Kind::Count, "TCP segments retransmitted by the destination.", "Congestion on the way back.", &[&ARGUS]),
        Column::new("sinpkt", "ms", Kind::Continuous, "Mean gap between packets from the source; zero gaps and gaps of two status intervals or more do not count.", "Pace of the source.", &[&ARGUS]),
        Column::new("dinpkt", "ms", Kind::Continuous, "Mean gap between packets from the destination, by the rule of sinpkt.", "Pace of the destination.", &[&ARGUS]),
        Column::new("sjit", "ms", Kind::Continuous, "Standard deviation of the gaps of sinpkt, with the unit error of `ra` where active and idle gaps both exist.", "Regularity: programs keep time, people do not.", &[&ARGUS]),
        Column::new("djit", "ms", Kind::Continuous, "Standard deviation of the gaps of dinpkt, by the rule of sjit.", "As sjit, for the destination.", &[&ARGUS]),
        Column::new("swin", "bytes", Kind::Count, "min(255, last non-zero TCP window of the source after scaling); 0 when only a SYN was seen.", "Whether there was a TCP exchange at all (saturated).", &[&ARGUS]),
        Column::new("stcpb", "", Kind::Count, "Initial TCP sequence number of the source.", "None; kept because the dataset has it.", &[&ARGUS]),
        Column::new("dtcpb", "", Kind::Count, "Initial TCP sequence number of the destination.", "None; kept because the dataset has it.", &[&ARGUS]),
        Column::new("dwin", "bytes", Kind::Count, "min(255, last non-zero TCP window of the destination after scaling).", "Whether the destination took part (saturated).", &[&ARGUS]),
        Column::new("tcprtt", "s", Kind::Continuous, "synack + ackdat.", "Distance of the two hosts.", &[&ARGUS]),
        Column::new("synack", "s", Kind::Continuous, "Time from the last SYN to the SYN-ACK.", "Distance of the destination, and its load.", &[&ARGUS]),
        Column::new("ackdat", "s", Kind::Continuous, "Time from the SYN-ACK to the ACK.", "Distance of the source.", &[&ARGUS]),
        Column::new("smean", "bytes", Kind::Count, "sbytes / spkts, rounded half up.", "Kind of content: keystrokes, requests, bulk.", &[&ARGUS]),
        Column::new("dmean", "bytes", Kind::Count, "dbytes / dpkts, rounded half up.", "Kind of content that comes back.", &[&ARGUS]),
        Column::new("trans_depth", "requests", Kind::Count, "Depth of the last HTTP request in the connection.", "Web sessions with many requests.", &[&ZEEK]),
        Column::new("response_body_len", "bytes", Kind::Count, "Body length of the HTTP reply.", "Size of what the web server gave.", &[&ZEEK]),
        Column::new("ct_srv_src", "records", Kind::Count, "Records of the block of 100 with the same service and source address.", "Sources that repeat one service: brute force, scans.", &[&UNSW]),
        Column::new("ct_state_ttl", "", Kind::Count, "Bucket from state, sttl and dttl; 0 to 6, not a count.", "Gives this dataset away, as the time-to-live does.", &[&UNSW]),
        Column::new("ct_dst_ltm", "records", Kind::Count, "Records of the block of 100 with the same destination address and the same second of the last packet.", "Destinations under many connections: floods.", &[&UNSW]),
        Column::new("ct_src_dport_ltm", "records", Kind::Count, "Records of the block with the same source address, destination port and second.", "Sweeps of one port over many hosts.", &[&UNSW]),
        Column::new("ct_dst_sport_ltm", "records", Kind::Count, "Records of the block with the same destination address, source port and second.", "Tools that keep their source port.", &[&UNSW]),
        Column::new("ct_dst_src_ltm", "records", Kind::Count, "Records of the block with the same source and destination address and second.", "Pairs with many connections: port scans, brute force.", &[&UNSW]),
        Column::new("is_ftp_login", "logins", Kind::Count, "FTP logins with user and password; documented as a flag, yet reaches 2 in the data.", "FTP sessions with a user.", &[&ZEEK]),
        Column::new("ct_ftp_cmd", "commands", Kind::Count, "Equal to is_ftp_login in 99.99 % of the rows.", "As is_ftp_login.", &[&ZEEK]),
        Column::new("ct_flw_http_mthd", "requests", Kind::Count, "HTTP requests in the connection; equal to trans_depth in nearly all rows.", "As trans_depth.", &[&ZEEK]),
        Column::new("ct_src_ltm", "records", Kind::Count, "Records of the block with the same source address and second.", "Sources with many connections: scans.", &[&UNSW]),
        Column::new("ct_srv_dst", "records", Kind::Count, "Records of the block of 100 with the same service and destination address.", "Services under many connections.", &[&UNSW]),
        Column::new("is_sm_ips_ports", "", Kind::Flag, "1 when both addresses are equal and both ports are equal.", "The land attack: a packet that claims to come from its own target.", &[&UNSW]),
    ],
};

/// Columns that give the label away in this dataset: the time-to-live of its laboratory. Every figure is
/// quoted with and without them.
pub const TTL_TRIO: [&str; 3] = ["sttl", "dttl", "ct_state_ttl"];

/// Columns that carry no information (initial sequence numbers, unusable in the recovered training rows).
pub const SEQUENCE_NUMBERS: [&str; 2] = ["stcpb", "dtcpb"];
