//! Names of IP protocols, as Argus prints them.

use crate::row::is_equal;
use crate::unsw_nb15::PROTO;

/// ICMP.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMPv6.
pub const ICMPV6: u8 = 58;
/// The number that stands for ARP, which is no IP protocol; no IP packet carries this number.
pub const ARP: u8 = 255;

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
pub const fn name(number: u8) -> &'static str {
    if number == ARP {
        "arp"
    } else if (number as usize) < PROTOCOLS.len() {
        PROTOCOLS[number as usize]
    } else {
        "unas"
    }
}

/// The code of an IP protocol number in the vocabulary [`PROTO`].
pub fn code(number: u8) -> u16 {
    CODES[usize::from(number)]
}

static CODES: [u16; 256] = codes();

const fn codes() -> [u16; 256] {
    let mut codes = [0; 256];
    let mut number = 0;
    while number < codes.len() {
        let mut code = 0;
        while !is_equal(PROTO.terms[code], name(number as u8)) {
            code += 1;
        }
        codes[number] = code as u16;
        number += 1;
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_the_code_of_its_name() {
        for number in 0..=u8::MAX {
            assert_eq!(PROTO.term(code(number)), Some(name(number)), "{number}");
        }
        for (number, expected) in [(TCP, "tcp"), (ICMPV6, "ipv6-icmp"), (ARP, "arp"), (200, "unas")] {
            assert_eq!(name(number), expected);
        }
    }
}
