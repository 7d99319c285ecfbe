//! The built-in sample: labelled traffic made here, metered like a capture.

use netsage_capture::{LinkType, MeterConfig, Mode, Packet};
use netsage_schema::Schema;
use netsage_sources::{Metered, Packets, Reading, SourceError};
use netsage_synth::{FlowLabel, Generator, Labels, SynthConfig};

use crate::dataset::{DataError, Dataset, UNKNOWN};

/// Packets between two looks at the meter.
const PACKETS_PER_LOOK: usize = 256;

/// Generates about `flows` flows with attacks among them and meters the packets as rows of a schema.
///
/// # Errors
/// When there are more than a browser shall hold.
pub fn generate(flows: u32, seed: u64, schema: &'static Schema) -> Result<Dataset, DataError> {
    let generator = Generator::new(SynthConfig {
        flows,
        seed,
        attacks: true,
        ..SynthConfig::default()
    });
    let config = MeterConfig {
        schema,
        ..MeterConfig::default()
    };
    let source = Metered::new("sample".to_owned(), Generated(generator), &config);
    let (mut data, source) = Dataset::meter("sample", source)?;
    join(&mut data, source.packets().0.labels());
    Ok(data)
}

/// The packets of a generator.
struct Generated(Generator);

impl Packets for Generated {
    const MODE: Mode = Mode::Replay;

    fn receive(&mut self, mut each: impl FnMut(&Packet<'_>)) -> Result<Reading, SourceError> {
        let mut is_over = true;
        for packet in self.0.by_ref().take(PACKETS_PER_LOOK) {
            is_over = false;
            // An Ethernet frame of the generator is at most a few kilobytes.
            let wire_length = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
            each(&Packet {
                link: LinkType::Ethernet,
                time_ns: packet.time_ns,
                wire_length,
                bytes: &packet.bytes,
            });
        }
        Ok(if is_over { Reading::End } else { Reading::GoesOn })
    }

    /// Nobody stops a sample but by ending the worker.
    fn stop(&mut self) {}
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
    use netsage_schema::{FLOW_V1, UNSW_NB15};

    #[test]
    fn nearly_every_row_of_the_sample_gets_its_label() {
        let data = generate(1_500, 7, &FLOW_V1).unwrap();
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
        let [one, other] = [(); 2].map(|()| generate(300, 3, &UNSW_NB15).unwrap());
        assert_eq!(one.rows.values(), other.rows.values());
        assert_eq!(one.labels, other.labels);
    }
}
