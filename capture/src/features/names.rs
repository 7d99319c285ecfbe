//! Codes of protocols and states, which are named as Argus prints them.

use netsage_schema::protocol;
use netsage_schema::unsw_nb15::STATE;

use crate::decode::IcmpMessage;

/// The code of a protocol in the vocabulary.
pub(super) fn protocol_code(number: u8) -> f64 {
    f64::from(protocol::code(number))
}

/// The code of a state in the vocabulary.
pub(super) fn state_code(name: &str) -> f64 {
    f64::from(
        STATE
            .code_of(name)
            .unwrap_or_else(|| unreachable!("`{name}` is a term of {}", STATE.id)),
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
