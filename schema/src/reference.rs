//! What the columns are taken from.

/// A publication or program that defines a column.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference {
    /// How the tables name it.
    pub key: &'static str,
    /// Authors, title, place and year.
    pub text: &'static str,
}

macro_rules! references {
    ($($(#[$doc:meta])* $name:ident: $key:literal, $text:literal;)*) => {
        $($(#[$doc])* pub static $name: Reference = Reference { key: $key, text: $text };)*
        /// Every reference, in the order of the list in the documentation.
        pub static ALL: &[&Reference] = &[$(&$name),*];
    };
}

references! {
    /// The flow meter of UNSW-NB15.
    ARGUS: "Argus", "QoSient: Argus, Audit Record Generation and Utilization System, `argus-server` and `argus-client` 3.0.8. <https://openargus.org>";
    /// First packets as a fingerprint.
    BERNAILLE: "Bernaille 2006", "L. Bernaille, R. Teixeira, I. Akodkenou, A. Soule, K. Salamatian: Traffic Classification On The Fly. ACM SIGCOMM Computer Communication Review 36(2), 2006.";
    /// What the protocol analyser of UNSW-NB15 confirms, and states of connections.
    ZEEK: "Zeek", "V. Paxson: Bro: A System for Detecting Network Intruders in Real-Time. Computer Networks 31(23-24), 1999; the log `conn.log` of its successor Zeek. <https://docs.zeek.org>";
    /// CICFlowMeter.
    CIC: "CICFlowMeter", "A. H. Lashkari, G. Draper-Gil, M. S. I. Mamun, A. A. Ghorbani: Characterization of Tor Traffic using Time based Features. ICISSP 2017; the program CICFlowMeter.";
    /// Round-trip times from handshakes.
    JIANG: "Jiang 2002", "H. Jiang, C. Dovrolis: Passive Estimation of TCP Round-Trip Times. ACM SIGCOMM Computer Communication Review 32(3), 2002.";
    /// Failed connections as the mark of a scan.
    JUNG: "Jung 2004", "J. Jung, V. Paxson, A. W. Berger, H. Balakrishnan: Fast Portscan Detection Using Sequential Hypothesis Testing. IEEE Symposium on Security and Privacy, 2004.";
    /// Counts over a trailing window of time: the features of KDD Cup 1999.
    LEE: "Lee 2000", "W. Lee, S. J. Stolfo: A Framework for Constructing Features and Models for Intrusion Detection Systems. ACM Transactions on Information and System Security 3(4), 2000 (the window features of KDD Cup 1999).";
    /// Scans by flags.
    NMAP: "Nmap", "G. F. Lyon: Nmap Network Scanning. Insecure.Com, 2009 (SYN, NULL, FIN and Xmas scans).";
    /// Statistics per direction.
    MOORE: "Moore 2005", "A. Moore, D. Zuev, M. Crogan: Discriminators for use in flow-based classification. Queen Mary, University of London, RR-05-13, 2005.";
    /// The dataset.
    UNSW: "UNSW-NB15", "N. Moustafa, J. Slay: UNSW-NB15: a comprehensive data set for network intrusion detection systems. MilCIS 2015; the features and scripts published with the dataset.";
    /// Bidirectional flows.
    RFC_5103: "RFC 5103", "B. Trammell, E. Boschi: Bidirectional Flow Export Using IP Flow Information Export (IPFIX). 2008.";
    /// The first retransmission timeout.
    RFC_6298: "RFC 6298", "V. Paxson, M. Allman, J. Chu, M. Sargent: Computing TCP's Retransmission Timer. 2011.";
    /// The information elements of IPFIX.
    RFC_7012: "RFC 7012", "B. Claise, B. Trammell (eds.): Information Model for IP Flow Information Export (IPFIX). 2013; the registry of IPFIX information elements at IANA.";
    /// TCP.
    RFC_9293: "RFC 9293", "W. Eddy (ed.): Transmission Control Protocol (TCP). 2022.";
}
