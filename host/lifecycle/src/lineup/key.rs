//! Which flows belong together, and which of them fall into a share.

use std::hash::Hasher as _;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

/// A hash of the 5-tuple of a flow with its ends in order, equal for both directions and all records of a flow. The
/// hash is unkeyed, so that a flow meets the same version after a restart too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey(pub u64);

impl FlowKey {
    /// The key of a flow between two ends, named in any order.
    pub fn new(one: (IpAddr, u16), other: (IpAddr, u16), protocol: u8) -> Self {
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        let mut hash = SipHasher13::new();
        for (address, port) in [low, high] {
            let octets = match address {
                IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                IpAddr::V6(address) => address.octets(),
            };
            hash.write(&octets);
            hash.write(&port.to_be_bytes());
        }
        hash.write(&[protocol]);
        Self(hash.finish())
    }
}

/// Whether the flow of this key is within a share of the flows. A flow within a share is within every larger share too.
pub fn is_in_share(key: u64, share: f64) -> bool {
    // 53 bits are what a float holds exactly.
    let place = (key >> 11) as f64 / (1_u64 << 53) as f64;
    place < share
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(one: &str, port: u16, other: &str, other_port: u16, protocol: u8) -> u64 {
        FlowKey::new(
            (one.parse().unwrap(), port),
            (other.parse().unwrap(), other_port),
            protocol,
        )
        .0
    }

    #[test]
    fn a_flow_has_one_key_for_ever() {
        let one = key("10.0.0.1", 40_000, "10.0.0.2", 80, 6);
        assert_eq!(one, key("10.0.0.2", 80, "10.0.0.1", 40_000, 6));
        assert_ne!(one, key("10.0.0.1", 80, "10.0.0.2", 40_000, 6));
        assert_ne!(one, key("10.0.0.1", 40_000, "10.0.0.2", 80, 17));
        // Written down: it must be the same in every build.
        assert_eq!(one, 0xf843_2a03_6b1c_7910);
    }

    #[test]
    fn a_share_is_that_share() {
        let keys: Vec<u64> = (0..20_000)
            .map(|port| key("10.0.0.1", port, "10.0.0.2", 80, 6))
            .collect();
        for share in [0.01, 0.1, 0.5] {
            let inside = keys.iter().filter(|key| is_in_share(**key, share)).count() as f64 / 20_000.0;
            // Four standard deviations of a fair draw.
            let slack = 4.0 * (share * (1.0 - share) / 20_000.0_f64).sqrt();
            assert!((inside - share).abs() < slack, "{inside} of {share}");
        }
    }

    proptest! {
        #[test]
        fn shares_are_nested(key in any::<u64>(), one in 0.0..=1.0_f64, other in 0.0..=1.0_f64) {
            let (small, large) = if one <= other { (one, other) } else { (other, one) };
            prop_assert!(!is_in_share(key, small) || is_in_share(key, large));
            prop_assert!(is_in_share(key, 1.0));
            prop_assert!(!is_in_share(key, 0.0));
        }
    }
}
