//! Datagrams of NetFlow v5, v9 and IPFIX, field by field.

/// The enterprise of the elements of the reverse direction.
pub const REVERSE: u32 = 29_305;
/// A field whose length stands in each record.
pub const VARIABLE: u16 = u16::MAX;

/// A template for flows of one direction: addresses, ports, protocol, packets, bytes, flags, then first and last packet
/// in milliseconds since the exporter started.
pub const FLOW: [(u16, u16); 10] = [
    (8, 4),
    (12, 4),
    (7, 2),
    (11, 2),
    (4, 1),
    (2, 4),
    (1, 4),
    (6, 1),
    (22, 4),
    (21, 4),
];

/// The same with absolute times: first and last packet in seconds since the epoch.
pub const FLOW_ABSOLUTE: [(u16, u16); 10] = [
    (8, 4),
    (12, 4),
    (7, 2),
    (11, 2),
    (4, 1),
    (2, 4),
    (1, 4),
    (6, 1),
    (150, 4),
    (151, 4),
];

/// What a header says.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// Sequence number.
    pub sequence: u32,
    /// Source id or observation domain; of v5 the lower 16 bits.
    pub domain: u32,
    /// Milliseconds since the exporter started; not in IPFIX.
    pub uptime_ms: u32,
    /// Seconds since the epoch.
    pub seconds: u32,
    /// The field for sampling of v5.
    pub sampling: u16,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            sequence: 0,
            domain: 0,
            uptime_ms: 100_000,
            seconds: 1_767_603_600,
            sampling: 0,
        }
    }
}

/// Numbers as they stand on the wire, each with its number of bytes.
pub fn bytes(numbers: &[(u64, usize)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for &(number, width) in numbers {
        let whole = number.to_be_bytes();
        bytes.extend_from_slice(&whole[whole.len() - width..]);
    }
    bytes
}

/// A flow of one direction as a record of [`FLOW`].
pub fn flow(
    source: [u8; 4],
    destination: [u8; 4],
    ports: (u16, u16),
    packets: u32,
    times: (u32, u32),
) -> Vec<u8> {
    let numbers = bytes(&[
        (ports.0.into(), 2),
        (ports.1.into(), 2),
        (6, 1),
        (packets.into(), 4),
        (u64::from(packets) * 100, 4),
        (0x1a, 1),
        (times.0.into(), 4),
        (times.1.into(), 4),
    ]);
    [&source[..], &destination, &numbers].concat()
}

/// A datagram of v5: `count` is what the header says, each record has 48 bytes.
pub fn v5(head: &Head, count: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let header = bytes(&[
        (5, 2),
        (count.into(), 2),
        (head.uptime_ms.into(), 4),
        (head.seconds.into(), 4),
        (0, 4),
        (head.sequence.into(), 4),
        (head.domain.into(), 2),
        (head.sampling.into(), 2),
    ]);
    [header, records.concat()].concat()
}

/// A record of v5.
pub fn v5_flow(
    source: [u8; 4],
    destination: [u8; 4],
    ports: (u16, u16),
    packets: u32,
    times: (u32, u32),
) -> Vec<u8> {
    let numbers = bytes(&[
        (0, 8),
        (packets.into(), 4),
        (u64::from(packets) * 100, 4),
        (times.0.into(), 4),
        (times.1.into(), 4),
        (ports.0.into(), 2),
        (ports.1.into(), 2),
        (0, 1),
        (0x1a, 1),
        (6, 1),
        (0, 1),
        (0, 8),
    ]);
    [&source[..], &destination, &numbers].concat()
}

/// A datagram of v9 with these sets.
pub fn v9(head: &Head, sets: &[Vec<u8>]) -> Vec<u8> {
    let header = bytes(&[
        (9, 2),
        (sets.len() as u64, 2),
        (head.uptime_ms.into(), 4),
        (head.seconds.into(), 4),
        (head.sequence.into(), 4),
        (head.domain.into(), 4),
    ]);
    [header, sets.concat()].concat()
}

/// A message of IPFIX with these sets.
pub fn ipfix(head: &Head, sets: &[Vec<u8>]) -> Vec<u8> {
    let sets = sets.concat();
    let header = bytes(&[
        (10, 2),
        (sets.len() as u64 + 16, 2),
        (head.seconds.into(), 4),
        (head.sequence.into(), 4),
        (head.domain.into(), 4),
    ]);
    [header, sets].concat()
}

/// A set of records, whole and without padding.
pub fn set(id: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let body = records.concat();
    [bytes(&[(id.into(), 2), (body.len() as u64 + 4, 2)]), body].concat()
}

/// A template, for a set of templates: fields as number and length.
pub fn template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let fields: Vec<(u16, u16, u32)> = fields
        .iter()
        .map(|&(number, length)| (number, length, 0))
        .collect();
    enterprise_template(id, &fields)
}

/// A template of IPFIX: fields as number, length and enterprise, 0 for IANA.
pub fn enterprise_template(id: u16, fields: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut template = bytes(&[(id.into(), 2), (fields.len() as u64, 2)]);
    for &field in fields {
        template.extend(specifier(field));
    }
    template
}

/// A template of options of v9: those of the scope, then the others.
pub fn v9_options(id: u16, scope: &[(u16, u16)], fields: &[(u16, u16)]) -> Vec<u8> {
    let mut template = bytes(&[
        (id.into(), 2),
        (scope.len() as u64 * 4, 2),
        (fields.len() as u64 * 4, 2),
    ]);
    for &(number, length) in scope.iter().chain(fields) {
        template.extend(specifier((number, length, 0)));
    }
    template
}

/// A template of options of IPFIX: the first `scope` fields are the scope.
pub fn ipfix_options(id: u16, scope: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let mut template = bytes(&[(id.into(), 2), (fields.len() as u64, 2), (scope.into(), 2)]);
    for &(number, length) in fields {
        template.extend(specifier((number, length, 0)));
    }
    template
}

fn specifier((number, length, enterprise): (u16, u16, u32)) -> Vec<u8> {
    if enterprise == 0 {
        return bytes(&[(number.into(), 2), (length.into(), 2)]);
    }
    bytes(&[
        (u64::from(number | 0x8000), 2),
        (length.into(), 2),
        (enterprise.into(), 4),
    ])
}
