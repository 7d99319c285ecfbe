//! The population: who is in the office, and who outside it is talked to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rand::RngExt;

use crate::random::{MICROSECOND, MILLISECOND, Random, delay, log_normal, word};
use crate::wire::{Mac, Route};

/// How the TCP of a system introduces itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stack {
    /// Window of a SYN, bytes.
    pub(crate) first_window: u16,
    /// Window field of later segments.
    pub(crate) window: u16,
    pub(crate) scale: u8,
    pub(crate) mss: u16,
    pub(crate) timestamps: bool,
}

const LINUX: Stack = Stack {
    first_window: 64_240,
    window: 502,
    scale: 7,
    mss: 1460,
    timestamps: true,
};
const WINDOWS: Stack = Stack {
    first_window: 64_240,
    window: 1026,
    scale: 8,
    mss: 1460,
    timestamps: false,
};
const MACOS: Stack = Stack {
    first_window: 65_535,
    window: 2058,
    scale: 6,
    mss: 1460,
    timestamps: true,
};
const CONTENT_NETWORK: Stack = Stack {
    first_window: 65_535,
    window: 285,
    scale: 9,
    mss: 1400,
    timestamps: true,
};

/// A host as the capture sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host {
    pub(crate) address: IpAddr,
    pub(crate) mac: Mac,
    pub(crate) ttl: u8,
    pub(crate) stack: Stack,
    /// From the point of capture to the host and back, nanoseconds.
    pub(crate) distance_ns: i64,
}

impl Host {
    pub(crate) fn route_to(&self, other: &Host, identification: u16) -> Route {
        Route {
            source_mac: self.mac,
            destination_mac: other.mac,
            source: self.address,
            destination: other.address,
            ttl: self.ttl,
            identification,
        }
    }
}

/// Somebody in the office.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) host: Host,
    pub(crate) host6: Option<Host>,
    next_port: u16,
    /// How often it is this client that does something.
    pub(crate) weight: f64,
    /// Rotates the list of popular sites: everybody has favourites.
    pub(crate) taste: usize,
}

impl Client {
    /// The next ephemeral port; a port comes again only after 28,000 others.
    pub(crate) fn port(&mut self) -> u16 {
        const FIRST: u16 = 32_768;
        const LAST: u16 = 60_999;
        self.next_port = if (FIRST..LAST).contains(&self.next_port) {
            self.next_port + 1
        } else {
            FIRST
        };
        self.next_port
    }
}

/// A service outside the office, or a web server in it.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) name: String,
    pub(crate) host: Host,
    pub(crate) host6: Option<Host>,
    /// Time that the server takes to answer, nanoseconds, median.
    pub(crate) think_ns: i64,
    /// Size of what it answers against what is usual.
    pub(crate) weight: f64,
}

/// Everybody.
#[derive(Debug)]
pub(crate) struct Population {
    pub(crate) clients: Vec<Client>,
    total_weight: f64,
    pub(crate) gateway: Host,
    pub(crate) resolver: Host,
    pub(crate) mail: Host,
    pub(crate) files: Host,
    pub(crate) intranet: Site,
    /// Machines that people log in to.
    pub(crate) shells: Vec<Host>,
    pub(crate) clocks: Vec<Host>,
    pub(crate) sites: Vec<Site>,
    pub(crate) streams: Vec<Site>,
    pub(crate) mail_exchangers: Vec<Host>,
}

impl Population {
    pub(crate) fn new(random: &mut Random) -> Self {
        let clients: Vec<Client> = (0..random.random_range(52..64))
            .map(|n| client(n, random))
            .collect();
        let total_weight = clients.iter().map(|client| client.weight).sum();
        let mut shells: Vec<Host> = (0..3).map(|n| inside(40 + n, LINUX, 64, random)).collect();
        shells.extend((0..4).map(|n| outside(1, n, random)));
        let mut clocks: Vec<Host> = (0..4).map(|n| outside(2, n, random)).collect();
        clocks.push(inside(6, LINUX, 64, random));
        let intranet = Site {
            name: "intranet.office.example".to_owned(),
            host: inside(80, LINUX, 64, random),
            host6: None,
            think_ns: 6 * MILLISECOND,
            weight: 1.0,
        };
        Self {
            total_weight,
            gateway: inside(1, LINUX, 64, random),
            resolver: inside(2, LINUX, 64, random),
            mail: inside(25, LINUX, 64, random),
            files: inside(21, LINUX, 64, random),
            intranet,
            shells,
            clocks,
            sites: (0..160).map(|n| site(3, n, random)).collect(),
            streams: (0..8).map(|n| site(4, n, random)).collect(),
            mail_exchangers: (0..12).map(|n| outside(5, n, random)).collect(),
            clients,
        }
    }

    /// Makes it another office: some people leave and others come, a third of the services is replaced, the rest is a
    /// little nearer or farther and a little slower or faster, all answer more or less than before, and everybody is
    /// as active as it comes.
    pub(crate) fn change(&mut self, random: &mut Random) {
        let gone = self.clients.len() / 6;
        self.clients.drain(..gone);
        // Newcomers get numbers, and with them addresses, that nobody had.
        let first = gone + self.clients.len();
        let coming = first..first + random.random_range(8..18);
        self.clients
            .extend(coming.map(|number| client(number as u8, random)));
        for client in &mut self.clients {
            client.weight = delay(random, 1_000, 0.6) as f64;
        }
        self.total_weight = self.clients.iter().map(|client| client.weight).sum();
        for (group, sites) in [(6, &mut self.sites), (7, &mut self.streams)] {
            for (number, known) in sites.iter_mut().enumerate() {
                if number % 3 == 0 {
                    *known = site(group, number as u8, random);
                } else {
                    let distance_ns = known.host.distance_ns as f64 * log_normal(random, 1.0, 0.1);
                    let distance_ns = (distance_ns as i64).min(FARTHEST_NS);
                    known.host.distance_ns = distance_ns;
                    if let Some(host6) = &mut known.host6 {
                        host6.distance_ns = distance_ns;
                    }
                    known.think_ns = delay(random, known.think_ns, 0.25);
                }
                known.weight = log_normal(random, 1.15, 0.3);
            }
        }
    }

    /// Position of a client, active ones more often.
    pub(crate) fn any_client(&self, random: &mut Random) -> usize {
        let mut rest = random.random::<f64>() * self.total_weight;
        for (position, client) in self.clients.iter().enumerate() {
            rest -= client.weight;
            if rest <= 0.0 {
                return position;
            }
        }
        0
    }
}

/// A machine in the server room, 10.20.0.x.
pub(crate) fn inside(last: u8, stack: Stack, ttl: u8, random: &mut Random) -> Host {
    Host {
        address: Ipv4Addr::new(10, 20, 0, last).into(),
        mac: [0x02, 0x1b, 0x21, 0, 0, last],
        ttl,
        stack,
        distance_ns: delay(random, 250 * MICROSECOND, 0.3),
    }
}

const GATEWAY_MAC: Mac = [0x02, 0x1b, 0x21, 0, 0, 1];

/// A host of the outside at an address that a caller chooses.
pub(crate) fn remote(address: Ipv4Addr, distance_ns: i64, ttl: u8) -> Host {
    Host {
        address: address.into(),
        mac: GATEWAY_MAC,
        ttl,
        stack: LINUX,
        distance_ns,
    }
}

/// A machine in the room of visitors and devices, 10.20.9.x.
pub(crate) fn device(last: u8, random: &mut Random) -> Host {
    Host {
        address: Ipv4Addr::new(10, 20, 9, last).into(),
        mac: [0x02, 0x1b, 0x21, 9, 0, last],
        ..inside(last, LINUX, 64, random)
    }
}

/// Nothing that people use is farther, nanoseconds.
const FARTHEST_NS: i64 = 170 * MILLISECOND;

/// A host of the outside. 198.18.0.0/15 is set aside for measurements, so nobody's address is used.
fn outside(group: u8, number: u8, random: &mut Random) -> Host {
    let address = Ipv4Addr::new(198, 18, group, number.wrapping_mul(37).wrapping_add(11));
    let hops = random.random_range(6..17);
    let start: u8 = if random.random_bool(0.85) { 64 } else { 128 };
    // Most of what people use has a copy nearby.
    let median = if random.random_bool(0.7) { 9 } else { 55 };
    let distance_ns = delay(random, median * MILLISECOND, 0.5).min(FARTHEST_NS);
    let stack = if random.random_bool(0.5) {
        CONTENT_NETWORK
    } else {
        LINUX
    };
    Host {
        address: address.into(),
        mac: GATEWAY_MAC,
        ttl: start - hops,
        stack,
        distance_ns,
    }
}

fn site(group: u8, number: u8, random: &mut Random) -> Site {
    let host = outside(group, number, random);
    let address6 = Ipv6Addr::new(
        0x2001,
        0xdb8,
        0x40 + u16::from(group),
        0,
        0,
        0,
        0,
        u16::from(number) + 1,
    );
    let host6 = random.random_bool(0.35).then_some(Host {
        address: address6.into(),
        ..host
    });
    let length = random.random_range(5..14);
    let kind = ["www.", "", "cdn.", "static.", "api."][random.random_range(0..5)];
    let name = format!("{kind}{}.example", word(random, length));
    Site {
        name,
        host,
        host6,
        think_ns: delay(random, 18 * MILLISECOND, 0.6),
        weight: 1.0,
    }
}

fn client(number: u8, random: &mut Random) -> Client {
    let (stack, ttl) = match random.random_range(0..10) {
        0..6 => (WINDOWS, 128),
        6..8 => (MACOS, 64),
        _ => (LINUX, 64),
    };
    let host = Host {
        address: Ipv4Addr::new(10, 20, 1 + number / 24, 20 + number).into(),
        mac: [0x02, 0x3c, 0x57, 1, 0, number],
        ttl,
        stack,
        distance_ns: delay(random, 450 * MICROSECOND, 0.4),
    };
    let address6 = Ipv6Addr::new(0x2001, 0xdb8, 0x20, 1, 0x3c57, 0, 0, u16::from(number) + 0x100);
    let host6 = random.random_bool(0.4).then_some(Host {
        address: address6.into(),
        ..host
    });
    Client {
        host,
        host6,
        next_port: random.random_range(32_768..60_999),
        weight: delay(random, 1_000, 0.6) as f64,
        taste: random.random_range(0..40),
    }
}
