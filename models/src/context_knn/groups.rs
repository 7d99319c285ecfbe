//! Which columns are looked at together.

use netsage_schema::unsw_nb15::SEQUENCE_NUMBERS;
use netsage_schema::{Column, Schema};
use serde::{Deserialize, Serialize};

use super::TrainOptions;

/// A group of columns and how the distance in it is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupOptions {
    /// What the columns have in common, for people.
    pub name: String,
    /// Names of the columns, none of them nominal: nominal columns are in every group by themselves.
    pub columns: Vec<String>,
    /// How the distance is found.
    pub method: GroupMethod,
}

/// How the distance of a row in a group is found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupMethod {
    /// The mean distance to the nearest of the reference rows.
    Neighbours {
        /// How many of them, 1 to 256.
        neighbours: u16,
        /// Whether rows that are equal in every column count as often as they occur, or once.
        duplicates: bool,
        /// Rows drawn at random to be reference rows; all rows when there are fewer.
        references: u32,
    },
    /// The density of a mixture of Gaussians.
    Mixture {
        /// How many components, 1 to 256.
        components: u16,
        /// Added to every variance, in squared standard deviations; above 0.
        least_variance: f64,
    },
}

/// Nearest neighbours as every group of [`by_kind`] has them. Five are a convention (that of scikit-learn); as many
/// rows as this keep an artifact near 50 KB and the search quick.
const BY_KIND: GroupMethod = GroupMethod::Neighbours {
    neighbours: 5,
    duplicates: true,
    references: 3_000,
};

/// The kinds of columns. A kind holds the columns that express one quantity in several ways, and no others, so that a
/// surprise names the anomalous quantity.
#[rustfmt::skip]
const KINDS: [(&str, &[&str]); 11] = [
    ("volume", &[
        "spkts", "dpkts", "sbytes", "dbytes", "sloss", "dloss",
        "src_packets", "dst_packets", "src_bytes", "dst_bytes", "src_payload", "dst_payload",
        "src_retransmissions", "dst_retransmissions",
    ]),
    ("packet size", &[
        "smean", "dmean",
        "src_size_mean", "src_size_std", "src_size_min", "src_size_max",
        "dst_size_mean", "dst_size_std", "dst_size_min", "dst_size_max",
    ]),
    ("rate", &["rate", "sload", "dload", "packet_rate", "byte_rate", "src_packet_share", "src_byte_share"]),
    ("time", &[
        "dur", "sinpkt", "dinpkt", "sjit", "djit",
        "duration", "gap_mean", "gap_std", "gap_min", "gap_max",
    ]),
    ("pace of each side", &[
        "src_gap_mean", "src_gap_std", "src_gap_min", "src_gap_max",
        "dst_gap_mean", "dst_gap_std", "dst_gap_min", "dst_gap_max",
    ]),
    ("handshake", &["swin", "dwin", "tcprtt", "synack", "ackdat", "syn_ack_time", "ack_time"]),
    ("flags", &[
        "syn_count", "fin_count", "rst_count", "psh_count", "urg_count", "odd_flags",
        "src_zero_windows", "dst_zero_windows",
    ]),
    ("application", &[
        "trans_depth", "response_body_len", "ct_flw_http_mthd", "is_ftp_login", "ct_ftp_cmd", "is_sm_ips_ports",
        "src_first_1", "src_first_2", "src_first_3", "dst_first_1", "dst_first_2", "dst_first_3",
        "first_gap_1", "first_gap_2",
    ]),
    ("neighbourhood", &[
        "ct_srv_src", "ct_dst_ltm", "ct_src_dport_ltm", "ct_dst_sport_ltm", "ct_dst_src_ltm", "ct_src_ltm",
        "ct_srv_dst",
        "src_flows", "src_peers", "src_ports", "src_failed", "dst_flows", "dst_peers", "dst_ports", "dst_failed",
    ]),
    ("neighbourhood by service and pair", &[
        "service_flows", "service_sources", "service_destinations", "service_failed",
        "pair_flows", "pair_ports", "pair_failed",
    ]),
    ("what the meter says", &["service_missing", "state_missing", "packets_missing", "bytes_missing", "sampled"]),
];

/// Numbers that name something: a time to live tells systems and their distance apart, and `ct_state_ttl` is a code for
/// ranges of both. 62 is no nearer to 60 than to 254, so that only equality counts, as with protocol, service and state.
/// A group that asks for them has them as numbers all the same.
pub const NAMES: [&str; 3] = ["sttl", "dttl", "ct_state_ttl"];

/// A group of each kind of columns; columns of no known kind form one more, `other`.
pub fn by_kind(schema: &Schema) -> Vec<GroupOptions> {
    let is_read = |column: &&Column| {
        let name = &column.name;
        column.vocabulary().is_none() && !NAMES.contains(name) && !SEQUENCE_NUMBERS.contains(name)
    };
    let kind_of = |column: &Column| {
        let kind = KINDS.iter().find(|(_, names)| names.contains(&column.name));
        kind.map_or("other", |(kind, _)| kind)
    };
    let kinds = KINDS.iter().map(|(kind, _)| *kind).chain(["other"]);
    let group = |kind: &str| GroupOptions {
        name: kind.to_owned(),
        columns: schema
            .columns
            .iter()
            .filter(is_read)
            .filter(|column| kind_of(column) == kind)
            .map(|column| column.name.to_owned())
            .collect(),
        method: BY_KIND,
    };
    kinds
        .map(group)
        .filter(|group| !group.columns.is_empty())
        .collect()
}

impl TrainOptions {
    /// The few groups that did best on labelled rows of UNSW-NB15, with the settings that they were found with: a steered
    /// choice, which a card must declare.
    pub fn compact() -> Self {
        Self {
            groups: few_groups(),
            stretches: 0,
            share_exponent: 1.0,
            tail: 0.01,
            per_doubling: 0.25,
            ..Self::default()
        }
    }
}

/// Neighbours in packet sizes, handshake and neighbourhood, neighbours in rates and sizes, three mixtures on the former,
/// each smoother than the last, and the time to live.
fn few_groups() -> Vec<GroupOptions> {
    let group = |name: &str, columns: &[&str], method| GroupOptions {
        name: name.to_owned(),
        columns: columns.iter().map(|&column| column.to_owned()).collect(),
        method,
    };
    let neighbours = GroupMethod::Neighbours {
        neighbours: 20,
        duplicates: true,
        references: 1_000_000,
    };
    let mixture = |least_variance| GroupMethod::Mixture {
        components: 24,
        least_variance,
    };
    let time_to_live = GroupMethod::Neighbours {
        neighbours: 5,
        duplicates: false,
        references: 3_000,
    };
    let few = [
        "smean",
        "dmean",
        "tcprtt",
        "ct_dst_src_ltm",
        "ct_srv_dst",
        "response_body_len",
    ];
    let rates = ["rate", "sload", "dload", "sbytes", "dbytes", "smean", "dmean"];
    vec![
        group("few columns", &few, neighbours),
        group("rates and sizes", &rates, neighbours),
        group("few columns, sharp mixture", &few, mixture(0.05)),
        group("few columns, mixture", &few, mixture(0.1)),
        group("few columns, smooth mixture", &few, mixture(0.2)),
        group("time to live", &NAMES, time_to_live),
    ]
}

#[cfg(test)]
mod tests {
    use netsage_schema::UNSW_NB15;

    use super::*;

    #[test]
    fn every_column_has_its_kind() {
        for schema in Schema::ALL {
            let groups = by_kind(schema);
            assert!(groups.iter().all(|group| group.name != "other"), "{groups:?}");
            let grouped: usize = groups.iter().map(|group| group.columns.len()).sum();
            let others = SEQUENCE_NUMBERS
                .iter()
                .filter(|name| schema.index_of(name).is_some());
            let context = schema
                .columns
                .iter()
                .filter(|column| column.vocabulary().is_some() || NAMES.contains(&column.name));
            assert_eq!(grouped + others.count() + context.count(), schema.width());
        }
        let known = |name: &String| UNSW_NB15.index_of(name).is_some();
        assert!(few_groups().iter().all(|group| group.columns.iter().all(known)));
    }
}
