//! The TCP tracker: state, handshake times, windows and retransmissions as Argus 3.0.8 counts them.
//!
//! Sequence numbers are compared without wrap-around, as Argus does; a wrap starts the count anew.

use super::loss::Loss;
use crate::decode::TcpSegment;

/// Where the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    SynSent,
    SynReceived,
    Established,
    /// One side has finished.
    FinWait,
    /// A finish was acknowledged.
    FinAcknowledged,
    /// A reset outside the window, or the first segment seen.
    Closing,
    Closed,
}

/// One side of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Side {
    /// Initial sequence number, or what Argus takes for it when the SYN was not seen.
    initial: Option<u32>,
    /// Next sequence number after the highest seen, or the SYN's own.
    next: u32,
    /// Highest acknowledgement sent, minus 1.
    acknowledged: u32,
    /// Last window that was not 0.
    window: u16,
    scale: u8,
    /// Bytes sent and not acknowledged.
    outstanding: u32,
    finished: bool,
    last_ns: i64,
    last_identification: u16,
    /// Segments retransmitted in this record.
    pub(crate) retransmitted: u64,
}

/// A TCP connection; index 0 is the source.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Tcp {
    phase: Phase,
    pub(crate) sides: [Side; 2],
    segments: u64,
    saw_syn: bool,
    saw_syn_ack: bool,
    established: bool,
    reset: bool,
    finish: bool,
    normal_close: bool,
    synack_ns: i64,
    ackdat_ns: i64,
    /// What was acknowledged and never seen; no part of any row.
    pub(crate) loss: Loss,
}

impl Tcp {
    /// Whether a SYN now belongs to another connection.
    pub(crate) fn is_over(&self) -> bool {
        matches!(
            self.phase,
            Phase::FinWait | Phase::FinAcknowledged | Phase::Closing | Phase::Closed
        )
    }

    /// Whether the connection was opened before us and its handshake is not complete.
    pub(crate) fn is_half_open(&self) -> bool {
        (self.saw_syn || self.saw_syn_ack) && !self.established
    }

    /// Notes a segment and says whether the gap before it was within an exchange of data.
    pub(crate) fn segment(
        &mut self,
        sender: usize,
        segment: &TcpSegment<'_>,
        identification: u16,
        time_ns: i64,
    ) -> bool {
        self.segments += 1;
        if let (true, Some(scale)) = (segment.flags.syn(), segment.window_scale) {
            self.sides[sender].scale = scale;
        }
        let active = if self.segments == 1 {
            self.first(sender, segment);
            true
        } else {
            let active = self.sequence(sender, segment, identification);
            self.transition(sender, segment, time_ns);
            active
        };
        self.sides[sender].last_ns = time_ns;
        active
    }

    fn first(&mut self, sender: usize, segment: &TcpSegment<'_>) {
        let flags = segment.flags;
        let before = segment.sequence.wrapping_sub(1);
        let end = segment.sequence.wrapping_add(segment.length);
        let (initial, next) = if flags.syn() {
            (segment.sequence, segment.sequence)
        } else {
            (before, end)
        };
        let side = &mut self.sides[sender];
        side.initial = Some(initial);
        side.next = next;
        side.window = segment.window;
        if flags.ack() {
            side.acknowledged = segment.acknowledgement.wrapping_sub(1);
        }
        self.phase = match (flags.rst(), flags.syn(), flags.fin()) {
            (true, _, _) => {
                self.reset = true;
                Phase::Closing
            }
            (_, true, _) if flags.ack() => {
                self.saw_syn_ack = true;
                Phase::SynReceived
            }
            (_, true, _) => {
                self.saw_syn = true;
                Phase::SynSent
            }
            (_, _, true) => {
                self.finish = true;
                self.sides[sender].finished = true;
                Phase::FinWait
            }
            _ => {
                self.established = true;
                Phase::Established
            }
        };
    }

    /// Follows the sequence space and counts retransmissions.
    fn sequence(&mut self, sender: usize, segment: &TcpSegment<'_>, identification: u16) -> bool {
        let flags = segment.flags;
        if flags.syn() && !flags.ack() {
            return true;
        }
        let [source, destination] = &mut self.sides;
        let (this, other) = if sender == 0 {
            (source, destination)
        } else {
            (destination, source)
        };
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
            if this.finished && segment.sequence < this.next {
                this.retransmitted += 1;
            }
            if !flags.syn() {
                this.outstanding = this.outstanding.wrapping_add(segment.length);
            }
        } else {
            active = false;
        }
        if end < segment.sequence {
            this.next = end;
        } else if this.initial.is_none() {
            this.initial = Some(segment.sequence);
            this.next = end;
        } else if has_data && other.window != 0 {
            active &= !this.data(other, segment, end, identification);
        }
        if flags.ack() && segment.acknowledgement != 0 {
            this.acknowledge(other, segment.acknowledgement, flags.syn());
        }
        active
    }

    fn transition(&mut self, sender: usize, segment: &TcpSegment<'_>, time_ns: i64) {
        let flags = segment.flags;
        let [source, destination] = &mut self.sides;
        let (this, other) = if sender == 0 {
            (source, destination)
        } else {
            (destination, source)
        };
        if flags.rst() {
            self.reset = true;
            // A refused SYN keeps the attempt open: further tries belong to the same record.
            if self.phase != Phase::SynSent || other.next != this.acknowledged {
                self.phase = Phase::Closed;
            }
            return;
        }
        if flags.fin() {
            self.finish = true;
            this.finished = true;
        }
        match self.phase {
            Phase::SynSent if flags.syn() && !flags.ack() => this.retransmitted += 1,
            Phase::SynSent if flags.syn() => {
                self.phase = Phase::SynReceived;
                self.saw_syn_ack = true;
                if other.next == this.acknowledged {
                    self.synack_ns = time_ns.saturating_sub(other.last_ns).max(0);
                }
            }
            Phase::SynReceived if flags.syn() => this.retransmitted += 1,
            Phase::SynSent | Phase::SynReceived if flags.fin() => self.phase = Phase::FinWait,
            Phase::SynSent if flags.ack() => {
                self.phase = Phase::Established;
                self.established = true;
            }
            Phase::SynReceived if flags.ack() => {
                self.phase = Phase::Established;
                self.established = true;
                if this.next == other.acknowledged {
                    self.ackdat_ns = time_ns.saturating_sub(other.last_ns).max(0);
                }
            }
            Phase::Established if flags.fin() => self.phase = Phase::FinWait,
            Phase::Established if flags.syn() => this.retransmitted += 1,
            Phase::FinWait | Phase::FinAcknowledged => {
                let acknowledges = flags.ack() && segment.length == 0;
                if acknowledges && other.finished && other.next == this.acknowledged {
                    self.phase = Phase::FinAcknowledged;
                    self.normal_close = true;
                }
            }
            _ => {}
        }
    }

    /// Begins a new record of the same connection.
    pub(crate) fn restart_record(&mut self) {
        self.reset = false;
        self.finish = false;
        for side in &mut self.sides {
            side.retransmitted = 0;
        }
    }

    /// The state as Argus names it.
    pub(crate) fn state(&self) -> &'static str {
        match self {
            Self { reset: true, .. } => "RST",
            Self { finish: true, .. } => "FIN",
            Self {
                normal_close: true, ..
            } => "CLO",
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

    /// `min(255, window)` of a side, after scaling; 0 when the record is a lone first segment.
    pub(crate) fn window(&self, side: usize) -> u8 {
        if self.segments < 2 {
            return 0;
        }
        let side = &self.sides[side];
        u8::try_from(u64::from(side.window) << side.scale).unwrap_or(u8::MAX)
    }

    /// Initial sequence number of a side, 0 when it sent nothing.
    pub(crate) fn initial_sequence(&self, side: usize) -> u32 {
        self.sides[side].initial.unwrap_or(0)
    }

    /// Time from the last SYN to the SYN-ACK and from it to the ACK, in seconds; 0 where not seen.
    pub(crate) fn handshake(&self) -> (f64, f64) {
        (self.synack_ns as f64 / 1e9, self.ackdat_ns as f64 / 1e9)
    }
}

impl Side {
    /// Notes data and says whether it was a retransmission.
    fn data(&mut self, other: &Side, segment: &TcpSegment<'_>, end: u32, identification: u16) -> bool {
        let previous_identification = std::mem::replace(&mut self.last_identification, identification);
        if segment.sequence < other.acknowledged {
            let behind = u64::from(other.acknowledged - segment.sequence);
            let repeats = behind < u64::from(self.window) << self.scale;
            if repeats {
                self.repeat(segment.length);
            }
            return repeats;
        }
        let highest = end.max(self.next);
        let step = i32::from(identification) - i32::from(previous_identification);
        let reordered = (-4999..0).contains(&step);
        let unacknowledged = highest.wrapping_sub(1).wrapping_sub(other.acknowledged);
        let fills_front = end < self.next && segment.sequence == other.acknowledged.wrapping_add(1);
        let repeats = !reordered && (self.outstanding > unacknowledged || fills_front);
        if repeats {
            self.repeat(segment.length);
        }
        self.next = highest;
        repeats
    }

    fn repeat(&mut self, length: u32) {
        self.retransmitted += 1;
        self.outstanding = self.outstanding.wrapping_sub(length);
    }

    /// Notes an acknowledgement of what the other side sent.
    fn acknowledge(&mut self, other: &mut Side, acknowledgement: u32, syn: bool) {
        let last = acknowledgement.wrapping_sub(1);
        if self.acknowledged != 0 && other.next > self.acknowledged {
            other.outstanding = other.next.wrapping_sub(1).wrapping_sub(self.acknowledged);
        }
        if self.acknowledged == last {
            return;
        }
        if self.acknowledged == 0 || other.next == acknowledgement {
            other.outstanding = 0;
        } else if !syn {
            let newly = last.wrapping_sub(self.acknowledged);
            other.outstanding -= other.outstanding.min(newly);
        }
        self.acknowledged = last;
    }
}
