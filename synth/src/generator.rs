//! All conversations merged into one stream of packets, in the order of time.
//!
//! Memory is bounded by the conversations that are under way, not by the length of the capture: a
//! conversation makes its packets flight by flight, and behaviours start conversations when they are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::SeedableRng;

use crate::attacks;
use crate::config::SynthConfig;
use crate::conversation::Conversation;
use crate::hosts::Population;
use crate::label::FlowLabel;
use crate::ordinary;
use crate::random::{Random, fork};

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SynthPacket {
    /// Nanoseconds since the Unix epoch, whole microseconds.
    pub time_ns: i64,
    /// The Ethernet frame without its check sequence.
    pub bytes: Vec<u8>,
}

/// Something that starts conversations now and then.
pub(crate) trait Actor: std::fmt::Debug + Send {
    /// Starts what is due at `now_ns`, and says when it wants to act next.
    fn act(&mut self, now_ns: i64, stage: &mut Stage<'_>) -> Option<i64>;
}

/// What an actor works with.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) people: &'a mut Population,
    pub(crate) random: &'a mut Random,
    /// Nothing may start later.
    pub(crate) last_start_ns: i64,
    started: &'a mut Vec<Conversation>,
}

impl Stage<'_> {
    pub(crate) fn start(&mut self, conversation: Conversation) {
        self.started.push(conversation);
    }

    /// Conversations that the actor started in this act.
    pub(crate) fn started(&self) -> usize {
        self.started.len()
    }
}

#[derive(Debug)]
enum Event {
    Act {
        actor: usize,
    },
    Send {
        conversation: Box<Conversation>,
        bytes: Vec<u8>,
    },
}

/// An event and when it is due; ties go in the order in which they were made, so that the result depends on
/// nothing but the configuration.
#[derive(Debug)]
struct Due {
    key: (i64, u64),
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// Generates packets in the order of time.
#[derive(Debug)]
pub struct Generator {
    config: SynthConfig,
    people: Population,
    actors: Vec<(Box<dyn Actor>, Random)>,
    due: BinaryHeap<Reverse<Due>>,
    made: u64,
    labels: Vec<FlowLabel>,
    started: Vec<Conversation>,
    now_ns: i64,
}

impl Generator {
    /// A generator of what the configuration asks for; values outside the limits that its fields state are
    /// brought to the nearest limit.
    pub fn new(config: SynthConfig) -> Self {
        let config = config.within_limits();
        let mut random = Random::seed_from_u64(config.seed);
        let people = Population::new(&mut fork(&mut random));
        let attacks = if config.attacks {
            attacks::actors(&config, &people, &mut random)
        } else {
            Vec::new()
        };
        let ordinary_flows = if config.attacks {
            config.flows - (f64::from(config.flows) * config.attack_share) as u32
        } else {
            config.flows
        };
        let ordinary = ordinary::actors(&config, ordinary_flows, &mut random);
        let mut generator = Self {
            now_ns: config.start_ns,
            config,
            people,
            actors: Vec::new(),
            due: BinaryHeap::new(),
            made: 0,
            labels: Vec::new(),
            started: Vec::new(),
        };
        for (start_ns, actor) in ordinary.into_iter().chain(attacks) {
            let number = generator.actors.len();
            generator.actors.push((actor, fork(&mut random)));
            generator.schedule(start_ns, Event::Act { actor: number });
        }
        generator
    }

    /// The labels of the conversations, in the order in which they began. Complete once every packet was taken.
    pub fn labels(&self) -> &[FlowLabel] {
        &self.labels
    }

    /// Share of the capture's time that is done, 0 to 1.
    pub fn progress(&self) -> f64 {
        let done = (self.now_ns - self.config.start_ns) as f64 / self.config.duration_ns as f64;
        done.clamp(0.0, 1.0)
    }

    fn schedule(&mut self, time_ns: i64, event: Event) {
        self.made += 1;
        self.due.push(Reverse(Due {
            key: (time_ns, self.made),
            event,
        }));
    }

    fn schedule_next(&mut self, mut conversation: Box<Conversation>) {
        if let Some((time_ns, bytes)) = conversation.next_packet() {
            // What comes after the end of the capture is never seen.
            if time_ns < self.config.end_ns() {
                self.schedule(time_ns, Event::Send { conversation, bytes });
            }
        }
    }

    fn act(&mut self, number: usize) {
        let (actor, random) = &mut self.actors[number];
        // Conversations that began within the last moments would be cut off before they are anything.
        let margin = (self.config.duration_ns / 20).min(20 * crate::random::SECOND);
        let mut stage = Stage {
            people: &mut self.people,
            random,
            last_start_ns: self.config.end_ns() - margin,
            started: &mut self.started,
        };
        let next = actor.act(self.now_ns, &mut stage);
        for conversation in std::mem::take(&mut self.started) {
            self.schedule_next(Box::new(conversation));
        }
        if let Some(time_ns) = next {
            self.schedule(time_ns.max(self.now_ns + 1), Event::Act { actor: number });
        }
    }
}

impl Iterator for Generator {
    type Item = SynthPacket;

    fn next(&mut self) -> Option<SynthPacket> {
        loop {
            let Reverse(Due {
                key: (time_ns, _),
                event,
            }) = self.due.pop()?;
            self.now_ns = time_ns;
            match event {
                Event::Act { actor } => self.act(actor),
                Event::Send {
                    mut conversation,
                    bytes,
                } => {
                    match conversation.label {
                        Some(label) => self.labels[label].end_ns = time_ns,
                        None => {
                            conversation.label = Some(self.labels.len());
                            self.labels.push(conversation.label_at(time_ns));
                        }
                    }
                    self.schedule_next(conversation);
                    return Some(SynthPacket { time_ns, bytes });
                }
            }
        }
    }
}
