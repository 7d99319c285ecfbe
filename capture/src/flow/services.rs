//! Which of two ports is the service's, when the opening of a TCP connection was not seen.

/// TCP ports from 1024 on that have a name in the list of services of Debian 12 (`/etc/services`), in order.
/// `ra` reads the list of the machine it runs on.
#[rustfmt::skip]
const NAMED: [u16; 132] = [
    1080, 1093, 1094, 1099, 1127, 1178, 1194, 1236, 1313, 1314, 1352, 1433, 1524, 1645, 1646, 1649, 1677, 1812,
    1813, 2000, 2049, 2086, 2101, 2119, 2121, 2135, 2401, 2430, 2431, 2432, 2433, 2583, 2600, 2601, 2602, 2603,
    2604, 2605, 2606, 2607, 2608, 2628, 2792, 2811, 2947, 3050, 3205, 3260, 3306, 3389, 3493, 3632, 3689, 3690,
    4031, 4094, 4190, 4353, 4369, 4373, 4460, 4557, 4559, 4691, 4899, 4949, 5060, 5061, 5222, 5269, 5308, 5432,
    5556, 5666, 5667, 5671, 5672, 5680, 6000, 6001, 6002, 6003, 6004, 6005, 6006, 6007, 6346, 6347, 6379, 6444,
    6445, 6446, 6514, 6566, 6667, 6697, 7000, 7100, 8021, 8080, 8081, 8088, 8140, 8990, 9098, 9101, 9102, 9103,
    9418, 9667, 9673, 10000, 10050, 10051, 10080, 10081, 10082, 10083, 10809, 11112, 11371, 17004, 17500,
    22125, 22128, 22273, 24554, 27374, 30865, 57000, 60177, 60179,
];

/// Ports below this one belong to services.
const FIRST_UNRESERVED: u16 = 1024;

/// One bit per port, so that the question, asked for every TCP segment, costs one look.
static KNOWN: [u64; 1024] = known();

const fn known() -> [u64; 1024] {
    let mut bits = [0; 1024];
    let mut port = 0;
    while port < FIRST_UNRESERVED {
        bits[port as usize / 64] |= 1 << (port % 64);
        port += 1;
    }
    let mut index = 0;
    while index < NAMED.len() {
        bits[NAMED[index] as usize / 64] |= 1 << (NAMED[index] % 64);
        index += 1;
    }
    bits
}

fn is_known(port: u16) -> bool {
    KNOWN[usize::from(port / 64)] >> (port % 64) & 1 == 1
}

/// Whether the sender of a segment is the service: its port is one, and the other port is none or a higher one.
pub(super) fn answers(source_port: u16, destination_port: u16) -> bool {
    is_known(source_port) && (!is_known(destination_port) || destination_port > source_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_known_by_the_list() {
        for port in 0..=u16::MAX {
            let expected = port < FIRST_UNRESERVED || NAMED.contains(&port);
            assert_eq!(is_known(port), expected, "{port}");
        }
    }

    #[test]
    fn the_service_is_told_by_its_port() {
        for (source, destination, expected) in [
            (80, 40_001, true),
            (40_001, 80, false),
            (800, 40_001, true),
            (53, 853, true),
            (853, 53, false),
            (8080, 40_001, true),
            (8080, 80, false),
            (1024, 40_001, false),
            (5001, 8080, false),
            (80, 80, false),
        ] {
            assert_eq!(
                answers(source, destination),
                expected,
                "{source} to {destination}"
            );
        }
    }
}
