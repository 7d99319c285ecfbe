//! The built-in sample: labelled traffic made here, metered like a capture.

use netsage_capture::{LinkType, Meter, MeterConfig, Mode, Packet};
use netsage_schema::FlowBatch;
use netsage_synth::{FlowLabel, Generator, Labels, SynthConfig};

use crate::dataset::{Dataset, PACKETS_PER_DRAIN, UNKNOWN};

/// Generates about `flows` flows with attacks among them and meters the packets.
pub fn generate(flows: u32, seed: u64) -> Dataset {
    let config = SynthConfig {
        flows,
        seed,
        attacks: true,
        ..SynthConfig::default()
    };
    let mut data = Dataset::empty("sample");
    let mut meter = Meter::new(MeterConfig {
        mode: Mode::Replay,
        ..MeterConfig::default()
    });
    let mut batch = FlowBatch::default();
    let mut generator = Generator::new(config);
    let mut until_drain = PACKETS_PER_DRAIN;
    for packet in generator.by_ref() {
        // An Ethernet frame of the generator is at most a few kilobytes.
        let wire_length = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
        meter.packet(&Packet {
            link: LinkType::Ethernet,
            time_ns: packet.time_ns,
            wire_length,
            bytes: &packet.bytes,
        });
        until_drain -= 1;
        if until_drain == 0 {
            until_drain = PACKETS_PER_DRAIN;
            if let Err(error) = data.take(&mut meter, &mut batch) {
                data.notes.push(error.to_string());
                break;
            }
        }
    }
    meter.finish();
    if let Err(error) = data.take(&mut meter, &mut batch) {
        data.notes.push(error.to_string());
    }
    data.packets = meter.stats().packets;
    join(&mut data, generator.labels());
    data
}

fn join(data: &mut Dataset, labels: &[FlowLabel]) {
    let labels = Labels::new(labels.iter().copied());
    let identities = std::mem::take(&mut data.identities);
    for identity in &identities {
        let label = labels.find(identity);
        data.labels
            .push(label.map_or(UNKNOWN, |label| u8::from(label.attack)));
        let category = data.category(label.map_or("", |label| label.behaviour));
        data.categories.push(category);
    }
    data.identities = identities;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_every_row_of_the_sample_gets_its_label() {
        let data = generate(1_500, 7);
        assert!(data.rows.len() >= 1_000, "{} rows", data.rows.len());
        let unknown = data.labels.iter().filter(|&&label| label == UNKNOWN).count();
        assert!(
            unknown * 50 <= data.rows.len(),
            "{unknown} of {} without a label",
            data.rows.len()
        );
        assert!(data.labels.contains(&1) && data.labels.contains(&0));
    }

    #[test]
    fn the_same_seed_gives_the_same_rows() {
        let (one, other) = (generate(300, 3), generate(300, 3));
        assert_eq!(one.rows.values(), other.rows.values());
        assert_eq!(one.labels, other.labels);
    }
}
