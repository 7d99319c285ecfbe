//! Names of protocols and states, as Argus prints them.

use netsage_schema::Vocabulary;
use netsage_schema::unsw_nb15::{PROTO, STATE};

use crate::decode::{IcmpMessage, protocol};

/// Names of the IP protocols 0 to 140, by number.
#[rustfmt::skip]
const PROTOCOLS: [&str; 141] = [
    "ip", "icmp", "igmp", "ggp", "ipnip", "st2", "tcp", "cbt", "egp", "igp", "bbn-rcc", "nvp", "pup", "argus",
    "emcon", "xnet", "chaos", "udp", "mux", "dcn", "hmp", "prm", "xns-idp", "trunk-1", "trunk-2", "leaf-1",
    "leaf-2", "rdp", "irtp", "iso-tp4", "netblt", "mfe-nsp", "merit-inp", "sep", "3pc", "idpr", "xtp", "ddp",
    "idpr-cmtp", "tp++", "il", "ipv6", "sdrp", "ipv6-route", "ipv6-frag", "idrp", "rsvp", "gre", "mhrp", "bna",
    "esp", "ah", "i-nlsp", "swipe", "narp", "mobile", "tlsp", "skip", "ipv6-icmp", "ipv6-no", "ipv6-opts",
    "any", "cftp", "any", "sat-expak", "kryptolan", "rvd", "ippc", "any", "sat-mon", "visa", "ipcv", "cpnx",
    "cphb", "wsn", "pvp", "br-sat-mon", "sun-nd", "wb-mon", "wb-expak", "iso-ip", "vmtp", "secure-vmtp",
    "vines", "ttp", "nsfnet-igp", "dgp", "tcf", "eigrp", "ospf", "sprite-rpc", "larp", "mtp", "ax.25", "ipip",
    "micp", "aes-sp3-d", "etherip", "encap", "pri-enc", "gmtp", "ifmp", "pnni", "pim", "aris", "scps", "qnx",
    "a/n", "ipcomp", "snp", "compaq-peer", "ipx-n-ip", "vrrp", "pgm", "zero", "l2tp", "ddx", "iatp", "stp",
    "srp", "uti", "smp", "sm", "ptp", "isis", "fire", "crtp", "crudp", "sccopmce", "iplt", "sps", "pipe",
    "sctp", "fc", "rsvp-e2e-ignore", "mobile", "udplite", "mpls-in-ip", "manet", "hip", "shim6",
];

/// Returns the name that rows and alerts use for an IP protocol number: `tcp`, `arp`, ..., `unas` for a number without a name.
pub fn protocol_name(number: u8) -> &'static str {
    match number {
        protocol::ARP => "arp",
        _ => PROTOCOLS.get(usize::from(number)).copied().unwrap_or("unas"),
    }
}

/// The code of a protocol in the vocabulary.
pub(super) fn protocol_code(number: u8) -> f64 {
    code(&PROTO, protocol_name(number))
}

/// The code of a state in the vocabulary.
pub(super) fn state_code(name: &str) -> f64 {
    code(&STATE, name)
}

fn code(vocabulary: &Vocabulary, name: &str) -> f64 {
    f64::from(
        vocabulary
            .code_of(name)
            .unwrap_or_else(|| unreachable!("`{name}` is a term of {}", vocabulary.id)),
    )
}

/// The state of an ICMP flow, by its first message.
pub(super) fn icmp_state(message: &IcmpMessage) -> &'static str {
    if message.version6 {
        return match message.kind {
            1 => "URH",
            2 => "PTB",
            3 => "TXD",
            4 => "PAR",
            128 => "ECO",
            129 => "ECR",
            130 => "MLQ",
            131 => "MLR",
            132 => "MLD",
            133 => "NRS",
            134 => "NRA",
            135 => "NNS",
            136 => "NNA",
            137 => "RED",
            144 => "MHQ",
            143 | 145 => "MHR",
            _ => "no",
        };
    }
    match (message.kind, message.code) {
        (0, _) => "ECR",
        (3, 0) => "URN",
        (3, 3) => "URP",
        (3, 4) => "URF",
        (3, 5) => "URS",
        (3, _) => "URH",
        (4, _) => "SRC",
        (5, _) => "RED",
        (8, _) => "ECO",
        (9, _) => "RTA",
        (10, _) => "RTS",
        (11, _) => "TXD",
        (12, _) => "PAR",
        (13, _) => "TST",
        (14, _) => "TSR",
        (15, _) => "IRQ",
        (16, _) => "IRR",
        (17, _) => "MAS",
        (18, _) => "MSR",
        _ => "no",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_term() {
        for number in 0..=u8::MAX {
            assert!(protocol_code(number) >= 0.0);
        }
        for version6 in [false, true] {
            for kind in 0..=u8::MAX {
                for code in 0..16 {
                    state_code(icmp_state(&IcmpMessage {
                        version6,
                        kind,
                        code,
                        detail: 0,
                    }));
                }
            }
        }
        for state in ["RST", "FIN", "CLO", "CON", "ACC", "REQ", "INT", "RSP"] {
            state_code(state);
        }
    }
}
