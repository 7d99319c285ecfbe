//! Six attacks, each as its traffic looks from the gateway. Times, targets, rates and sizes differ with the
//! seed. None of them carries anything harmful: commands and stolen data are noise.

use std::net::Ipv4Addr;

use rand::RngExt;

use crate::config::SynthConfig;
use crate::conversation::Conversation;
use crate::datagrams::Exchange;
use crate::dialogue::{Dialogue, Payload, Side};
use crate::generator::{Actor, Stage};
use crate::hosts::{Host, Population, device, remote};
use crate::label::Behaviour;
use crate::ordinary::{dns_message, http, ssh_opening};
use crate::random::{MICROSECOND, MILLISECOND, Random, delay, size, waiting, word};
use crate::tcp::{Closing, Connection, Opening};
use crate::tls;

/// One attack under way.
#[derive(Debug)]
struct Attack {
    step: Step,
    sources: Vec<Host>,
    target: Host,
    /// Conversations to start in all, and started so far.
    count: u32,
    done: u32,
    /// Mean time between two acts, nanoseconds.
    interval_ns: i64,
    first_port: u16,
    name: String,
}

/// Starts the conversations of one act: at most as many as are left.
type Step = fn(&Attack, now_ns: i64, left: u32, stage: &mut Stage<'_>);

impl Actor for Attack {
    fn act(&mut self, now_ns: i64, stage: &mut Stage<'_>) -> Option<i64> {
        let before = self.done;
        while self.done < self.count {
            (self.step)(self, now_ns, self.count - self.done, stage);
            let started = u32::try_from(stage.started()).unwrap_or(u32::MAX);
            self.done = before.saturating_add(started.max(1));
            // Intervals that were drawn long must not cost conversations: those left over come at the last moment.
            if now_ns < stage.last_start_ns {
                break;
            }
        }
        if self.done >= self.count {
            return None;
        }
        let jitter = waiting(stage.random, self.interval_ns / 5 + 1);
        let next_ns = now_ns + self.interval_ns * 9 / 10 + jitter / 2;
        Some(next_ns.min(stage.last_start_ns))
    }
}

impl Attack {
    /// A port for the conversation with that number.
    fn port(&self, number: u32) -> u16 {
        const FIRST: u32 = 1_024;
        (FIRST + (u32::from(self.first_port) + number) % (65_536 - FIRST)) as u16
    }

    fn start_tcp(&self, behaviour: Behaviour, connection: Connection, stage: &mut Stage<'_>) {
        debug_assert!(behaviour.is_attack());
        let conversation = Conversation::tcp(behaviour, connection, stage.random);
        stage.start(conversation);
    }
}

/// SYNs to one port after the other, in an order without a pattern.
fn scan(attack: &Attack, now_ns: i64, left: u32, stage: &mut Stage<'_>) {
    let mut time = now_ns;
    for number in attack.done..attack.done + left.min(10) {
        // An odd step reaches every port once before the first comes again.
        let port = attack
            .first_port
            .wrapping_add((number as u16).wrapping_mul(27_449))
            .max(1);
        let opening = match stage.random.random_range(0..100) {
            0..2 => Opening::Probed,
            2..72 => Opening::Refused,
            _ => Opening::Silent(u8::from(stage.random.random_bool(0.3))),
        };
        // A scanner keeps its own port for one pass over the ports of a target.
        let end = (attack.sources[0], 40_125 + (number >> 16) as u16);
        let connection = Connection::new(
            time,
            end,
            (attack.target, port),
            Dialogue::default(),
            stage.random,
        )
        .opening(opening);
        attack.start_tcp(Behaviour::PortScan, connection, stage);
        time += waiting(stage.random, 4 * MILLISECOND);
    }
}

/// Several logins at once, each with some passwords until the server hangs up.
fn brute_force(attack: &Attack, now_ns: i64, left: u32, stage: &mut Stage<'_>) {
    const PARALLEL: u32 = 24;
    for number in 0..left.min(PARALLEL) {
        let random = &mut *stage.random;
        let mut dialogue = ssh_opening("SSH-2.0-libssh_0.10.5", random);
        dialogue.client(2 * MILLISECOND, Payload::Noise(Vec::new(), 44));
        dialogue.server(MILLISECOND, Payload::Noise(Vec::new(), 44));
        for _ in 0..3 {
            dialogue.client(
                delay(random, 3 * MILLISECOND, 0.2),
                Payload::Noise(Vec::new(), 84),
            );
            // A server takes its time to refuse.
            dialogue.server(
                delay(random, 640 * MILLISECOND, 0.05),
                Payload::Noise(Vec::new(), 52),
            );
        }
        let time = now_ns + i64::from(number) * 3 * MILLISECOND;
        let end = (attack.sources[0], attack.port(attack.done + number));
        let connection = Connection::new(time, end, (attack.target, 22), dialogue, random)
            .closing(Closing::Fin(Side::Server));
        attack.start_tcp(Behaviour::PasswordBruteForce, connection, stage);
    }
}

/// SYNs as fast as it goes; the server answers until its backlog is full.
fn flood(attack: &Attack, now_ns: i64, left: u32, stage: &mut Stage<'_>) {
    const BACKLOG: u32 = 256;
    let mut time = now_ns;
    for number in attack.done..attack.done + left.min(20) {
        let source = attack.sources[number as usize % attack.sources.len()];
        let opening = if number < BACKLOG {
            Opening::HalfOpen(2)
        } else {
            Opening::Silent(0)
        };
        let end = (source, attack.port(number));
        let connection = Connection::new(time, end, (attack.target, 80), Dialogue::default(), stage.random)
            .opening(opening);
        attack.start_tcp(Behaviour::SynFlood, connection, stage);
        time += waiting(stage.random, 400 * MICROSECOND);
    }
}

/// A long connection that carries a little out of the office every second.
fn exfiltrate(attack: &Attack, now_ns: i64, _left: u32, stage: &mut Stage<'_>) {
    let random = &mut *stage.random;
    let mut dialogue = Dialogue::default();
    tls::handshake(&mut dialogue, &attack.name, random);
    let pieces = attack.interval_ns / (1_300 * MILLISECOND);
    for _ in 0..pieces.clamp(5, 2_000) {
        let bytes = size(random, 7_500.0, 0.15, 4_000, 14_000);
        dialogue.client(delay(random, 1_100 * MILLISECOND, 0.2), Payload::Records(bytes));
        dialogue.server(delay(random, 45 * MILLISECOND, 0.2), Payload::Records(60));
    }
    let end = (attack.sources[0], attack.port(attack.done));
    let connection = Connection::new(now_ns, end, (attack.target, 443), dialogue, random);
    attack.start_tcp(Behaviour::Exfiltration, connection, stage);
}

/// A short exchange with the same host again and again: is there anything to do?
fn beacon(attack: &Attack, now_ns: i64, _left: u32, stage: &mut Stage<'_>) {
    let random = &mut *stage.random;
    let plain = attack.first_port.is_multiple_of(2);
    let dialogue = if plain {
        http(&attack.name, 1, 1.0, 4 * MILLISECOND, random)
    } else {
        let mut dialogue = Dialogue::default();
        tls::handshake(&mut dialogue, &attack.name, random);
        dialogue.client(MILLISECOND, Payload::Records(213));
        dialogue.server(4 * MILLISECOND, Payload::Records(117));
        dialogue
    };
    let end = (attack.sources[0], attack.port(attack.done));
    let service = if plain { 80 } else { 443 };
    let connection = Connection::new(now_ns, end, (attack.target, service), dialogue, random)
        .closing(Closing::Fin(Side::Server));
    attack.start_tcp(Behaviour::Beacon, connection, stage);
}

/// Data in the names of questions, and in the records of answers.
fn tunnel(attack: &Attack, now_ns: i64, left: u32, stage: &mut Stage<'_>) {
    const TXT: u16 = 16;
    const NULL: u16 = 10;
    let mut time = now_ns;
    for number in 0..left.min(stage.random.random_range(8..17)) {
        let random = &mut *stage.random;
        let last = random.random_range(12..48);
        let name = format!(
            "{}.{}.{}.{}",
            word(random, 62),
            word(random, 62),
            word(random, last),
            attack.name
        );
        let identifier = random.random();
        let kind = if attack.first_port.is_multiple_of(2) {
            TXT
        } else {
            NULL
        };
        let mut dialogue = Dialogue::default();
        dialogue.client(
            0,
            Payload::Bytes(dns_message(identifier, &name, kind, None, random)),
        );
        let length = size(random, 640.0, 0.2, 300, 900) as usize;
        let answer = dns_message(identifier, &name, kind, Some(&[length]), random);
        dialogue.server(delay(random, 30 * MILLISECOND, 0.3), Payload::Bytes(answer));
        let end = (attack.sources[0], attack.port(attack.done + number));
        let exchange = Exchange::new(time, end, (attack.target, 53), dialogue);
        let conversation = Conversation::udp(Behaviour::DnsTunnel, exchange, random);
        stage.start(conversation);
        time += waiting(stage.random, 20 * MILLISECOND);
    }
}

/// Every attack, with the time of its first act.
pub(crate) fn actors(
    config: &SynthConfig,
    people: &Population,
    random: &mut Random,
) -> Vec<(i64, Box<dyn Actor>)> {
    let total = f64::from(config.flows) * config.attack_share;
    let share = |share: f64, least: u32| ((total * share) as u32).max(least);
    // A capture with a clean beginning has its attacks in what is left.
    let first_ns = config.clean_until_ns();
    let duration = config.end_ns() - first_ns;
    // Addresses of documentation: nobody's. A different one for every attacker.
    let mut stranger = |network: [u8; 3], low: i64, high: i64| {
        let [a, b, c] = network;
        let address = Ipv4Addr::new(a, b, c, random.random_range(2..250));
        remote(
            address,
            random.random_range(low..high) * MILLISECOND,
            random.random_range(40..56),
        )
    };
    let scanner = stranger([203, 0, 113], 60, 140);
    let guesser = stranger([192, 0, 2], 90, 180);
    let flooders = (0..3).map(|_| stranger([203, 0, 113], 40, 200)).collect();
    let dropbox = stranger([198, 51, 100], 30, 80);
    let controller = stranger([192, 0, 2], 180, 260);
    let name_server = stranger([198, 51, 100], 30, 60);
    let camera = device(7, random);
    let visitor = device(31, random);

    let mut actors: Vec<(i64, Box<dyn Actor>)> = Vec::new();
    // Start and length as shares of the capture, and conversations per act.
    let mut add = |step, sources, target, count: u32, start: f64, length: f64, per_act: u32, name: &str| {
        let start = (start + random.random_range(-0.02..0.02)).clamp(0.01, 0.9);
        let acts = i64::from(count.div_ceil(per_act));
        let interval_ns = ((duration as f64 * length) as i64 / acts).max(MICROSECOND);
        let first_port = random.random();
        let name = format!("{}.{name}", word(random, 9));
        let attack = Attack {
            step,
            sources,
            target,
            count,
            done: 0,
            interval_ns,
            first_port,
            name,
        };
        actors.push((first_ns + (duration as f64 * start) as i64, Box::new(attack)));
    };
    let none = "example";
    add(
        scan as Step,
        vec![scanner],
        people.files,
        share(0.42, 20),
        0.12,
        0.06,
        10,
        none,
    );
    add(
        brute_force,
        vec![guesser],
        people.shells[0],
        share(0.08, 24),
        0.28,
        0.08,
        24,
        none,
    );
    add(
        flood,
        flooders,
        people.intranet.host,
        share(0.36, 20),
        0.5,
        0.02,
        20,
        none,
    );
    add(
        exfiltrate,
        vec![people.files],
        dropbox,
        share(0.0009, 2),
        0.32,
        0.6,
        1,
        "storage.example",
    );
    add(
        beacon,
        vec![camera],
        controller,
        share(0.02, 5),
        0.04,
        0.9,
        1,
        "updates.example",
    );
    add(
        tunnel,
        vec![visitor],
        name_server,
        share(0.12, 12),
        0.72,
        0.02,
        12,
        "t.example",
    );
    actors
}
