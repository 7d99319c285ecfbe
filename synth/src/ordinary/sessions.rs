//! Sessions: the activities of people, and the conversations that follow from them.

use std::net::IpAddr;

use rand::RngExt;

use super::dialogues;
use crate::conversation::Conversation;
use crate::datagrams::{self, Exchange};
use crate::dialogue::{Dialogue, Payload, Side};
use crate::generator::Stage;
use crate::hosts::{Client, Host, Site};
use crate::label::Behaviour;
use crate::random::{MILLISECOND, Random, SECOND, delay, pick, popular, size, word};
use crate::tcp::{Closing, Connection, Opening};
use crate::tls;
use crate::wire;

/// Somebody opens a page: names are looked up, then a few connections bring its parts.
pub(super) fn browse(start_ns: i64, stage: &mut Stage<'_>) {
    let who = stage.people.any_client(stage.random);
    let mut time = start_ns;
    for part in 0..[1, 1, 2, 2, 3][stage.random.random_range(0..5)] {
        if part > 0 {
            time += delay(stage.random, 180 * MILLISECOND, 0.8);
        }
        let site = any_site(who, stage);
        // A name that was looked up a moment ago is still known.
        if stage.random.random_bool(0.75) {
            let version6 = stage.random.random_bool(0.3);
            ask(time, who, &site.name, false, stage);
            if version6 {
                ask(time + 100_000, who, &site.name, true, stage);
            }
            time += delay(stage.random, 30 * MILLISECOND, 0.3);
        }
        for _ in 0..[1, 1, 1, 2, 2, 4][stage.random.random_range(0..6)] {
            visit(time, who, &site, stage);
            time += delay(stage.random, 15 * MILLISECOND, 1.0);
        }
    }
}

fn any_site(who: usize, stage: &mut Stage<'_>) -> Site {
    if stage.random.random_bool(0.06) {
        return stage.people.intranet.clone();
    }
    let taste = stage.people.clients[who].taste;
    let sites = &stage.people.sites;
    sites[(popular(stage.random, sites.len()) + taste) % sites.len()].clone()
}

fn ends(client: &Client, site: &Site) -> (Host, Host) {
    match (client.host6, site.host6) {
        (Some(client), Some(server)) => (client, server),
        _ => (client.host, site.host),
    }
}

fn visit(start_ns: i64, who: usize, site: &Site, stage: &mut Stage<'_>) {
    let random = &mut *stage.random;
    let client = &mut stage.people.clients[who];
    let port = client.port();
    let (host, server) = ends(client, site);
    let inside = site.host.distance_ns < 3 * MILLISECOND;
    let plain = inside || random.random_bool(0.3);
    if !plain && random.random_bool(0.1) {
        let bytes = size(random, 3_000.0 * site.weight, 1.1, 300, 90_000);
        let dialogue = dialogues::quic(bytes, 0, site.think_ns, random);
        let exchange = Exchange::new(start_ns, (host, port), (server, 443), dialogue);
        let conversation = Conversation::udp(Behaviour::Web, exchange, random);
        return stage.start(conversation);
    }
    let requests = [1, 1, 1, 1, 2, 2, 3, 5][random.random_range(0..8)];
    let dialogue = if plain {
        dialogues::http(&site.name, requests, site.weight, site.think_ns, random)
    } else {
        secure(site, requests, random)
    };
    let opening = match random.random_range(0..400) {
        0..15 => Opening::Silent(random.random_range(1..3)),
        15..25 => Opening::Refused,
        _ => Opening::Accepted,
    };
    let closing = match random.random_range(0..100) {
        0..52 => Closing::Fin(Side::Client),
        52..88 => Closing::Fin(Side::Server),
        88..93 => Closing::Reset(Side::Client),
        93..95 => Closing::Reset(Side::Server),
        _ => Closing::Open,
    };
    let service = if plain { 80 } else { 443 };
    let connection = Connection::new(start_ns, (host, port), (server, service), dialogue, random)
        .opening(opening)
        .closing(closing);
    let conversation = Conversation::tcp(Behaviour::Web, connection, random);
    stage.start(conversation);
}

/// Requests inside TLS. Some are uploads; some connections stay open for messages that come now and then.
fn secure(site: &Site, requests: u32, random: &mut Random) -> Dialogue {
    let mut dialogue = Dialogue::default();
    tls::handshake(&mut dialogue, &site.name, random);
    for number in 0..requests {
        let pause = if number == 0 {
            MILLISECOND / 2
        } else {
            delay(random, 150 * MILLISECOND, 1.4)
        };
        let request = if random.random_bool(0.04) {
            size(random, 5_000.0, 1.4, 300, 200_000)
        } else {
            size(random, 380.0, 0.6, 90, 4_000)
        };
        dialogue.client(pause, Payload::Records(request));
        let answer = size(random, 900.0 * site.weight, 1.2, 80, 90_000);
        dialogue.server(delay(random, site.think_ns, 0.7), Payload::Records(answer));
    }
    if random.random_bool(0.05) {
        for _ in 0..random.random_range(3..12) {
            let note = size(random, 140.0, 0.7, 40, 3_000);
            dialogue.server(delay(random, 14 * SECOND, 0.7), Payload::Records(note));
            dialogue.client(delay(random, 10 * MILLISECOND, 0.8), Payload::Records(52));
        }
    }
    dialogue.client(delay(random, 400 * MILLISECOND, 1.5), Payload::Records(24));
    dialogue
}

fn ask(start_ns: i64, who: usize, name: &str, version6: bool, stage: &mut Stage<'_>) {
    let client = &mut stage.people.clients[who];
    let end = (client.host, client.port());
    let dialogue = dialogues::dns_lookup(name, version6, stage.random);
    let exchange = Exchange::new(start_ns, end, (stage.people.resolver, 53), dialogue);
    let conversation = Conversation::udp(Behaviour::Dns, exchange, stage.random);
    stage.start(conversation);
}

/// A name that some program wants to know.
pub(super) fn look_up(start_ns: i64, stage: &mut Stage<'_>) {
    let who = stage.people.any_client(stage.random);
    let length = stage.random.random_range(6..20);
    let name = format!("{}.service.example", word(stage.random, length));
    let version6 = stage.random.random_bool(0.25);
    ask(start_ns, who, &name, version6, stage);
}

pub(super) fn synchronise_clock(start_ns: i64, stage: &mut Stage<'_>) {
    let who = stage.people.any_client(stage.random);
    let clock = *pick(stage.random, &stage.people.clocks);
    let client = &mut stage.people.clients[who];
    let end = (client.host, client.port());
    let exchange = Exchange::new(start_ns, end, (clock, 123), dialogues::ntp(stage.random));
    let conversation = Conversation::udp(Behaviour::Ntp, exchange, stage.random);
    stage.start(conversation);
}

/// Somebody sends a message, which then leaves the office, or fetches mail.
pub(super) fn mail(start_ns: i64, stage: &mut Stage<'_>) {
    let who = stage.people.any_client(stage.random);
    let server = stage.people.mail;
    let client = &mut stage.people.clients[who];
    let end = (client.host, client.port());
    let sends = stage.random.random_bool(0.5);
    let (dialogue, port) = if sends {
        (dialogues::smtp(stage.random), 25)
    } else {
        (dialogues::pop3(stage.random), 110)
    };
    let connection = Connection::new(start_ns, end, (server, port), dialogue, stage.random)
        .closing(Closing::Fin(Side::Server));
    let conversation = Conversation::tcp(Behaviour::Mail, connection, stage.random);
    stage.start(conversation);
    if sends && stage.random.random_bool(0.6) {
        let exchanger = *pick(stage.random, &stage.people.mail_exchangers);
        let port = stage.random.random_range(32_768..61_000);
        let time = start_ns + delay(stage.random, 2 * SECOND, 0.4).min(10 * SECOND);
        let dialogue = dialogues::smtp(stage.random);
        let connection = Connection::new(time, (server, port), (exchanger, 25), dialogue, stage.random);
        let conversation = Conversation::tcp(Behaviour::Mail, connection, stage.random);
        stage.start(conversation);
    }
}

pub(super) fn shell(start_ns: i64, stage: &mut Stage<'_>) {
    let who = stage.people.any_client(stage.random);
    let server = *pick(stage.random, &stage.people.shells);
    let client = &mut stage.people.clients[who];
    let end = (client.host, client.port());
    let dialogue = dialogues::ssh_session(stage.random);
    let connection = Connection::new(start_ns, end, (server, 22), dialogue, stage.random);
    let conversation = Conversation::tcp(Behaviour::Ssh, connection, stage.random);
    stage.start(conversation);
}

/// A film in pieces of some seconds each, by TLS or QUIC.
pub(super) fn stream_video(start_ns: i64, stage: &mut Stage<'_>) {
    let who = stage.people.any_client(stage.random);
    let site = pick(stage.random, &stage.people.streams).clone();
    ask(start_ns, who, &site.name, false, stage);
    let random = &mut *stage.random;
    let client = &mut stage.people.clients[who];
    let port = client.port();
    let (host, server) = ends(client, &site);
    let time = start_ns + 40 * MILLISECOND;
    let pieces = size(random, 9.0, 0.8, 2, 60);
    let piece = size(random, 20_000.0 * site.weight, 0.5, 5_000, 90_000);
    let conversation = if random.random_bool(0.35) {
        let dialogue = dialogues::quic(pieces * piece / 2, 2 * MILLISECOND, 4 * site.think_ns, random);
        let exchange = Exchange::new(time, (host, port), (server, 443), dialogue);
        Conversation::udp(Behaviour::Video, exchange, random)
    } else {
        let mut dialogue = Dialogue::default();
        tls::handshake(&mut dialogue, &site.name, random);
        for number in 0..pieces {
            let pause = if number < 3 {
                50 * MILLISECOND
            } else {
                delay(random, 5 * SECOND, 0.2)
            };
            dialogue.client(pause, Payload::Records(size(random, 420.0, 0.2, 200, 900)));
            let bytes = size(random, f64::from(piece), 0.3, 4_000, 160_000);
            dialogue.server(delay(random, site.think_ns, 0.5), Payload::Records(bytes));
        }
        let connection = Connection::new(time, (host, port), (server, 443), dialogue, random);
        Conversation::tcp(Behaviour::Video, connection, random)
    };
    stage.start(conversation);
}

/// A control connection and a connection for each file.
pub(super) fn transfer_files(start_ns: i64, stage: &mut Stage<'_>) {
    let who = stage.people.any_client(stage.random);
    let server = stage.people.files;
    let random = &mut *stage.random;
    let client = &mut stage.people.clients[who];
    let host = client.host;
    let (IpAddr::V4(server4), IpAddr::V4(client4)) = (server.address, host.address) else {
        return;
    };
    let control_port = client.port();
    let passive = random.random_bool(0.4);
    let (dialogue, transfers) = dialogues::ftp(
        server4.octets(),
        client4.octets(),
        passive,
        |random| {
            if passive {
                random.random_range(40_000..50_000)
            } else {
                client.port()
            }
        },
        random,
    );
    let connection = Connection::new(start_ns, (host, control_port), (server, 21), dialogue, random)
        .closing(Closing::Fin(Side::Server));
    let conversation = Conversation::tcp(Behaviour::FileTransfer, connection, random);
    let mut made = vec![conversation];
    for transfer in transfers {
        let mut dialogue = Dialogue::default();
        // Whoever opens the connection is its client, which in active mode is the file server.
        let sender = if transfer.upload == passive {
            Side::Client
        } else {
            Side::Server
        };
        dialogue.say(sender, MILLISECOND, Payload::Noise(Vec::new(), transfer.bytes));
        let (opener, answerer) = if passive {
            ((host, client.port()), (server, transfer.port))
        } else {
            ((server, 20), (host, transfer.port))
        };
        let time = start_ns + transfer.start_ns;
        let connection =
            Connection::new(time, opener, answerer, dialogue, random).closing(Closing::Fin(sender));
        made.push(Conversation::tcp(Behaviour::FileTransfer, connection, random));
    }
    for conversation in made {
        stage.start(conversation);
    }
}

pub(super) fn renew_address(start_ns: i64, stage: &mut Stage<'_>) {
    let who = stage.people.any_client(stage.random);
    let server = stage.people.gateway;
    let host = stage.people.clients[who].host;
    let (IpAddr::V4(client4), IpAddr::V4(server4)) = (host.address, server.address) else {
        return;
    };
    let dialogue = dialogues::dhcp_renewal(client4.octets(), host.mac, server4.octets(), stage.random);
    let exchange = Exchange::new(start_ns, (host, 68), (server, 67), dialogue);
    let conversation = Conversation::udp(Behaviour::Dhcp, exchange, stage.random);
    stage.start(conversation);
}

pub(super) fn resolve_address(start_ns: i64, stage: &mut Stage<'_>) {
    let who = stage.people.any_client(stage.random);
    let people = &*stage.people;
    let client = people.clients[who].host;
    let known = [people.gateway, people.resolver, people.mail, people.files];
    let (asker, target) = match stage.random.random_range(0..10) {
        0..6 => (client, *pick(stage.random, &known)),
        6..9 => (*pick(stage.random, &known), client),
        _ => (client, pick(stage.random, &people.clients).host),
    };
    // The gateway goes on asking for hosts that were switched off; others ask those that they talk to.
    let answered = asker.mac != people.gateway.mac || stage.random.random_bool(0.5);
    let packets = datagrams::resolve(start_ns, &asker, &target, answered, stage.random);
    let conversation = Conversation::made(Behaviour::Arp, (asker, target), 0, packets, stage.random);
    stage.start(conversation);
}

pub(super) fn ping(start_ns: i64, stage: &mut Stage<'_>) {
    let who = stage.people.any_client(stage.random);
    let people = &*stage.people;
    let client = people.clients[who].host;
    let server = match stage.random.random_range(0..3) {
        0 => people.gateway,
        1 => *pick(stage.random, &people.shells),
        _ => pick(stage.random, &people.sites).host,
    };
    let count = [1, 1, 3, 4, 4, 4, 10][stage.random.random_range(0..7)];
    // A few people keep an eye on hosts that do not answer.
    let answered = !who.is_multiple_of(16) || stage.random.random_bool(0.5);
    let packets = datagrams::ping(start_ns, &client, &server, count, answered, stage.random);
    let hosts = (client, server);
    let conversation = Conversation::made(Behaviour::Ping, hosts, wire::ICMP, packets, stage.random);
    stage.start(conversation);
}
