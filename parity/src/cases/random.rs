//! Traffic that nobody would think of: random in every field, and the same on every machine.

use super::frame::{self, ACK, CWR, ECE, FIN, Ip, PSH, RST, SYN, Segment, URG};
use super::{Case, MILLISECOND, SECOND};

/// A small generator of numbers (xorshift64*), so that the captures depend on no library's choice.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = self.below(choices.len() as u64);
        choices[usize::try_from(index).expect("an index of the choices")]
    }

    /// A pause: mostly within an exchange, at times around the timeouts.
    fn pause(&mut self) -> i64 {
        let (most, unit) = self.pick(&[
            (50, 1),
            (50, MILLISECOND),
            (50, MILLISECOND),
            (900, MILLISECOND),
            (8, SECOND),
            (80, SECOND),
            (0, 0),
        ]);
        unit * i64::try_from(self.below(most + 1)).expect("a short pause")
    }
}

/// One side of a random connection.
#[derive(Clone, Copy)]
struct Side {
    end: (u8, u16),
    next: u32,
    identification: u16,
}

fn flags(random: &mut Random, index: u64) -> u8 {
    match (index, random.below(12)) {
        (0, 0..=5) => SYN,
        (1, 0..=5) => SYN | ACK,
        (_, 0) => random.pick(&[SYN, SYN | ACK, SYN | ECE | CWR, SYN | ACK | ECE]),
        (_, 1) => random.pick(&[FIN, FIN | ACK, FIN | PSH | ACK, RST, RST | ACK]),
        (_, 2) => random.pick(&[
            0,
            PSH,
            URG | ACK,
            SYN | FIN,
            FIN | PSH | URG,
            PSH | URG | ACK,
            0xff,
        ]),
        (_, 3..=6) => PSH | ACK,
        _ => ACK,
    }
}

fn segment(random: &mut Random, index: u64, counts_up: bool, sides: &mut [Side; 2]) -> Segment {
    let sender = usize::from(random.below(5) < 2);
    let other = sides[1 - sender];
    let side = &mut sides[sender];
    let flags = flags(random, index);
    let length = if flags & (SYN | RST) == 0 {
        random.pick(&[0_u16, 0, 1, 100, 1_000, 1_448])
    } else {
        0
    };
    side.identification = match (counts_up, random.below(20)) {
        (true, 0) => side.identification.wrapping_sub(3),
        (true, _) => side.identification.wrapping_add(1),
        (false, 0..=9) => 0,
        (false, _) => random.next() as u16,
    };
    let step = random.pick(&[0, 0, 0, 0, 0, 0, 1_448, 100, 1]);
    let sequence = if random.below(5) == 0 {
        side.next.wrapping_sub(step)
    } else {
        side.next.wrapping_add(step)
    };
    side.next = sequence
        .wrapping_add(u32::from(length))
        .wrapping_add(u32::from(flags & (SYN | FIN) != 0));
    Segment {
        ip: Ip {
            identification: side.identification,
            ..Ip::new(side.end.0, other.end.0)
        },
        ports: (side.end.1, other.end.1),
        flags,
        sequence,
        acknowledgement: match flags & ACK {
            0 => 0,
            _ => other.next.wrapping_sub(random.pick(&[0, 0, 0, 0, 100, 1_448, 1])),
        },
        window: random.pick(&[8_192, 8_192, 65_535, 1_000, 0, 1]),
        scale: (flags & SYN != 0 && random.below(2) == 0).then(|| random.pick(&[0, 2, 7, 14])),
        length: usize::from(length),
    }
}

/// TCP flows of random segments around a plausible place in the sequence space.
pub(super) fn tcp() -> Case {
    let mut case = Case::new("tcp-random");
    let mut random = Random(0x5eed_0001);
    for number in 0..1_500_u16 {
        let mut side = |host, port| Side {
            end: (host, port),
            next: random.pick(&[1, 5_000, 0x7000_0000, 0xffff_f000]),
            identification: random.next() as u16,
        };
        let port = [80, 443, 22, 8_080, 5_001][usize::from(number % 5)];
        let mut sides = [
            side(100 + u8::try_from(number % 40).unwrap_or(0), 10_000 + number),
            side(if number % 2 == 0 { 90 } else { 190 }, port),
        ];
        let counts_up = random.below(3) > 0;
        let mut at = i64::from(number) * 40 * MILLISECOND;
        for index in 0..=random.below(24) {
            at += random.pause();
            case.add(at, segment(&mut random, index, counts_up, &mut sides).frame());
        }
    }
    case
}

/// UDP and other protocols between few ends, so that flows begin, pause, end and begin again.
pub(super) fn datagrams() -> Case {
    let mut case = Case::new("datagrams-random");
    let mut random = Random(0x5eed_0002);
    for number in 0..800_u16 {
        let protocol = random.pick(&[17, 17, 17, 132, 89, 112, 103]);
        let host = 100 + u8::try_from(number % 50).unwrap_or(0);
        // Protocols without ports need ends of their own.
        let other = if protocol == 17 {
            random.pick(&[90, 190])
        } else {
            200 + protocol % 30
        };
        let ports = (10_000 + number, random.pick(&[53, 123, 5_353, 9_000]));
        let mut at = i64::from(number) * 90 * MILLISECOND;
        for _ in 0..=random.below(12) {
            at += random.pause();
            let turned = random.below(3) == 0;
            let (source, destination) = if turned { (other, host) } else { (host, other) };
            let ip = Ip {
                identification: random.next() as u16,
                ..Ip::new(source, destination)
            };
            let length = usize::try_from(random.below(400)).expect("a short datagram");
            let data = vec![0xee; 12 + length];
            let frame = match protocol {
                17 if turned => frame::udp(ip, (ports.1, ports.0), &data),
                17 => frame::udp(ip, ports, &data),
                other => ip.frame(other, &data),
            };
            case.add(at, frame);
        }
    }
    case
}
