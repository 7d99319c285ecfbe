//! The TCP tracker: state, handshake times, windows and retransmissions as Argus 3.0.8 counts them.
//!
//! It follows `ArgusTcp.c` rule by rule, because the dataset carries its every turn: no wrap-around of sequence
//! numbers, windows shifted right, IP identifications in little-endian order, and new SYNs that join closed ones.

use super::loss::Loss;
use super::services;
use super::side::{Side, since};
use crate::decode::{TcpFlags, TcpSegment};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;
const SYN_ACK: u8 = SYN | ACK;
const FIN_ACK: u8 = FIN | ACK;

/// Where the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// No segment yet.
    #[default]
    New,
    /// Begun by a reset: nothing but a SYN counts.
    Listening,
    SynSent,
    SynReceived,
    Established,
    /// One side has finished.
    FinWait,
    /// A finish was acknowledged.
    FinAcknowledged,
    /// A reset outside the window, or odd flags in the first segment.
    Closing,
    Closed,
}

/// A TCP connection; index 0 is the source.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Tcp {
    sides: [Side; 2],
    phase: Phase,
    /// Whether a segment followed the first; without one Argus exports next to nothing.
    followed: bool,
    saw_syn: bool,
    saw_syn_ack: bool,
    established: bool,
    reset: bool,
    finish: bool,
    normal_close: bool,
    synack_us: u32,
    ackdat_us: u32,
    /// Data acknowledged and never seen.
    pub(crate) loss: Loss,
}

impl Tcp {
    /// Whether a SYN now belongs to another connection.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(
            self.phase,
            Phase::New | Phase::SynSent | Phase::SynReceived | Phase::Established
        )
    }

    /// Whether a segment with these flags begins another connection for Argus.
    pub(crate) fn is_reopened_by(&self, flags: TcpFlags) -> bool {
        match self.phase {
            Phase::Listening => flags.syn(),
            Phase::FinWait | Phase::Closing | Phase::Closed => flags.0 == SYN,
            _ => false,
        }
    }

    /// Whether the connection was opened before us and its handshake is not complete.
    pub(crate) fn is_half_open(&self) -> bool {
        (self.saw_syn || self.saw_syn_ack) && !self.established
    }

    /// Notes the segment that opens another connection; Argus reads it before it finds that it does.
    pub(crate) fn closed_by(&mut self, segment: &TcpSegment<'_>, sender: usize) {
        if self.phase != Phase::Listening {
            self.followed = true;
            if let Some(scale) = segment.window_scale {
                self.sides[sender].scale = scale;
            }
        }
    }

    /// Notes a segment and says whether the gap before it was within an exchange of data.
    pub(crate) fn segment(
        &mut self,
        sender: usize,
        segment: &TcpSegment<'_>,
        identification: u16,
        time_us: i64,
    ) -> bool {
        let side = &mut self.sides[sender];
        side.flags |= segment.flags.0;
        if let (Some(scale), true) = (segment.window_scale, self.phase != Phase::Listening) {
            side.scale = scale;
        }
        let active = match self.phase {
            Phase::New => {
                self.first(sender, segment);
                true
            }
            Phase::Listening => true,
            _ => {
                self.followed = true;
                let active = self.sequence(sender, segment, identification);
                self.transition(sender, segment, time_us);
                active
            }
        };
        self.sides[sender].last_us = time_us;
        active
    }

    /// The side that sends and the other one.
    fn pair(&mut self, sender: usize) -> (&mut Side, &mut Side) {
        let [first, second] = &mut self.sides;
        if sender == 0 {
            (first, second)
        } else {
            (second, first)
        }
    }

    fn first(&mut self, sender: usize, segment: &TcpSegment<'_>) {
        let flags = segment.flags;
        let before = segment.sequence.wrapping_sub(1);
        let end = segment.sequence.wrapping_add(segment.length);
        let acknowledged = segment.acknowledgement.wrapping_sub(1);
        let (this, other) = self.pair(sender);
        (this.initial, this.next) = (before, end);
        if flags.rst() {
            if segment.sequence == 0 {
                (this.initial, this.next) = (acknowledged, acknowledged);
            }
            this.reset = true;
            other.acknowledged = acknowledged;
            self.reset = true;
            self.phase = Phase::Listening;
            return;
        }
        this.window = segment.window;
        let kind = flags.0 & (SYN | ACK | FIN | PSH | URG);
        let plain = kind & (ACK | PSH | URG);
        match kind {
            SYN | SYN_ACK => {
                (this.initial, this.next) = (segment.sequence, segment.sequence);
                if kind == SYN {
                    self.saw_syn = true;
                    self.phase = Phase::SynSent;
                } else {
                    other.acknowledged = acknowledged;
                    self.saw_syn_ack = true;
                    self.phase = Phase::SynReceived;
                }
            }
            FIN | FIN_ACK => {
                self.finish = true;
                self.phase = Phase::FinWait;
            }
            _ if kind == plain && kind != 0 => {
                if flags.ack() {
                    other.acknowledged = acknowledged;
                }
                self.established = true;
                self.phase = Phase::Established;
            }
            _ => {
                self.established = true;
                self.phase = Phase::Closing;
            }
        }
    }

    /// Follows the sequence space and counts retransmissions.
    fn sequence(&mut self, sender: usize, segment: &TcpSegment<'_>, identification: u16) -> bool {
        let flags = segment.flags;
        if flags.0 == SYN {
            return true;
        }
        let (this, other) = self.pair(sender);
        let mut active = true;
        if !flags.fin() && !flags.rst() {
            if segment.window == 0 {
                active = false;
            } else {
                this.window = segment.window;
            }
        }
        let has_data = segment.length > 0;
        let end = segment.sequence.wrapping_add(segment.length);
        if has_data && other.window != 0 {
            active &= this.outstanding != 0;
            if this.flags & FIN != 0 && segment.sequence < this.next {
                this.retransmitted += 1;
            }
            if !flags.syn() {
                this.outstanding = this.outstanding.wrapping_add(segment.length);
            }
        } else {
            active = false;
        }
        if end < segment.sequence {
            (this.initial, this.next) = (end, end);
        } else if this.initial == 0 {
            (this.initial, this.next) = (segment.sequence, end);
        } else if has_data {
            // As Argus reads it from the header, on the machines it runs on.
            let identification = identification.swap_bytes();
            if other.window != 0 && this.data(other, segment, end, identification) {
                active = false;
            }
            this.last_identification = identification;
        }
        if flags.ack() && segment.acknowledgement != 0 {
            this.acknowledge(other, segment.acknowledgement, flags.syn());
        }
        active
    }

    fn transition(&mut self, sender: usize, segment: &TcpSegment<'_>, time_us: i64) {
        let flags = segment.flags;
        if flags.rst() {
            self.refuse(sender, segment);
            return;
        }
        let phase = self.phase;
        let (this, other) = self.pair(sender);
        match phase {
            Phase::SynSent if flags.0 == SYN => this.retransmitted += 1,
            Phase::SynSent if flags.0 == SYN_ACK => {
                let answers = (other.next == this.acknowledged).then(|| since(other.last_us, time_us));
                self.saw_syn_ack = true;
                self.phase = Phase::SynReceived;
                self.synack_us = answers.unwrap_or(self.synack_us);
            }
            Phase::SynSent | Phase::SynReceived | Phase::Established if flags.fin() => {
                this.finished = true;
                self.finish = true;
                self.phase = Phase::FinWait;
            }
            Phase::SynSent if flags.ack() => {
                self.established = true;
                self.phase = Phase::Established;
            }
            Phase::SynReceived if flags.syn() => this.retransmitted += 1,
            Phase::SynReceived if flags.ack() => {
                let answers = (this.next == other.acknowledged).then(|| since(other.last_us, time_us));
                self.established = true;
                self.phase = Phase::Established;
                self.ackdat_us = answers.unwrap_or(self.ackdat_us);
            }
            Phase::Established if flags.syn() => {
                this.retransmitted += 1;
                self.saw_syn_ack |= flags.ack();
            }
            Phase::FinWait | Phase::FinAcknowledged => self.finishing(sender, segment),
            Phase::Closing
                if flags.ack() && this.next == this.acknowledged && other.next == this.acknowledged =>
            {
                self.phase = Phase::Closed;
                self.normal_close |= !self.reset;
            }
            Phase::Closed => self.normal_close |= !self.reset,
            _ => {}
        }
    }

    fn finishing(&mut self, sender: usize, segment: &TcpSegment<'_>) {
        let flags = segment.flags;
        // A SYN in another guise than that of an opening changes nothing.
        if self.phase == Phase::FinWait && flags.syn() && !flags.ack() {
            return;
        }
        let (this, other) = self.pair(sender);
        let acknowledges =
            flags.ack() && segment.length == 0 && other.finished && other.next == this.acknowledged;
        let finishes = flags.fin() && flags.ack();
        this.finished |= finishes;
        if flags.fin() && !finishes && other.finish_acknowledged {
            this.retransmitted += 1;
        }
        other.finish_acknowledged |= acknowledges;
        self.finish |= finishes;
        if acknowledges {
            self.phase = Phase::FinAcknowledged;
        }
    }

    fn refuse(&mut self, sender: usize, segment: &TcpSegment<'_>) {
        let phase = self.phase;
        let (this, other) = self.pair(sender);
        this.reset = true;
        let window = u32::from(this.window)
            .checked_shr(u32::from(this.scale))
            .unwrap_or(0);
        let within = this.acknowledged..this.acknowledged.wrapping_add(window);
        let next = match phase {
            // A refused SYN keeps the attempt open: further tries belong to the same record.
            Phase::SynSent if other.next == this.acknowledged => Phase::SynSent,
            Phase::SynSent => Phase::Closing,
            _ if within.contains(&segment.sequence) => Phase::Closed,
            _ => Phase::Closing,
        };
        self.reset = true;
        self.phase = next;
    }

    /// Begins a new record of the same connection.
    pub(crate) fn restart_record(&mut self) {
        for side in &mut self.sides {
            side.initial = side.next;
            side.outstanding = 0;
            side.retransmitted = 0;
            side.flags = 0;
            side.reset = false;
            side.last_identification = 0;
        }
    }

    /// The side that Argus takes for the source of a record: the one that was seen first, unless it answers. It
    /// answers when its SYN-ACK was seen without the SYN and more followed, and, when neither was seen, by the
    /// ports.
    pub(crate) fn source_of_record(&self, first: usize, ports: [u16; 2]) -> usize {
        let first_answers = match (self.saw_syn, self.saw_syn_ack) {
            (true, _) => false,
            (false, true) => self.is_answer_first(),
            (false, false) => services::answers(ports[first], ports[1 - first]),
        };
        if first_answers { 1 - first } else { first }
    }

    fn is_answer_first(&self) -> bool {
        !self.saw_syn && self.saw_syn_ack && (self.established || self.finish)
    }

    fn was_reset(&self) -> bool {
        if self.followed {
            self.sides.iter().any(|side| side.reset)
        } else {
            self.reset
        }
    }

    /// The state as Argus names it.
    pub(crate) fn state(&self) -> &'static str {
        match self {
            _ if self.was_reset() => "RST",
            Self { finish: true, .. } => "FIN",
            Self {
                normal_close: true, ..
            } => "CLO",
            // Argus forgets what it was when it turns such a record round.
            _ if self.is_answer_first() => "CLO",
            Self {
                established: true, ..
            } => "CON",
            Self {
                saw_syn_ack: true, ..
            } => "ACC",
            Self { saw_syn: true, .. } => "REQ",
            _ => "INT",
        }
    }

    /// `min(255, window)` of a side, after scaling; 0 when nothing followed the first segment.
    pub(crate) fn window(&self, side: usize) -> u8 {
        if !self.followed {
            return 0;
        }
        let side = &self.sides[side];
        u8::try_from(u64::from(side.window) << side.scale.min(32)).unwrap_or(u8::MAX)
    }

    /// Initial sequence number of a side, 0 when it sent nothing; in later records the number it had reached.
    pub(crate) fn initial_sequence(&self, side: usize) -> u32 {
        self.sides[side].initial
    }

    /// Segments that a side retransmitted in this record.
    pub(crate) fn retransmitted(&self, side: usize) -> u32 {
        self.sides[side].retransmitted
    }

    /// Whether `ra` prints what was retransmitted: it takes the number of the state "closed", which is 0, for none.
    pub(crate) fn tells_loss(&self) -> bool {
        self.phase != Phase::Closed
    }

    /// Time from the last SYN to the SYN-ACK and from it to the ACK, in seconds; 0 where not seen.
    pub(crate) fn handshake(&self) -> (f64, f64) {
        (f64::from(self.synack_us) / 1e6, f64::from(self.ackdat_us) / 1e6)
    }
}
