//! What is stored: eight bytes of magic and version, and a postcard encoding.

pub use netsage_detector_sdk::artifact::ArtifactError;
use netsage_detector_sdk::artifact::Format;
use serde::{Deserialize, Serialize};

/// Name and version of the format; another layout gets another last byte.
const FORMAT: Format = Format {
    magic: *b"NSRHYT\0\x01",
    name: "model of rhythm of format 1; train one with `netsage train rhythm`",
};
/// Protocols times services is far less.
const MOST_CEILINGS: usize = 65_536;

/// A trained model as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Schema of the columns, e.g. `flow-v1@1`.
    pub schema: String,
    /// The code of TCP in the column `proto`.
    pub tcp: u16,
    /// Flows that begin within so many seconds of the end of the last one belong to the same visit; above 0.
    pub pause: f32,
    /// What the surprise of a rhythm must exceed where training saw no flow of that protocol and service.
    pub usual: f32,
    /// What the bytes sent must exceed there; above 0.
    pub usual_sent: f32,
    /// What they must exceed where it did, by protocol and service, rising and each once.
    pub ceilings: Vec<Ceiling>,
}

/// What ordinary flows of one protocol and service reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Code of the column `proto`.
    pub protocol: u16,
    /// Code of the column `service`.
    pub service: u16,
    /// Negative decimal logarithm of a probability, 0 or more.
    pub surprise: f32,
    /// Bytes that a source sent one destination within about an hour; above 0.
    pub sent: f32,
}

impl Model {
    /// The artifact of this model.
    pub fn encode(&self) -> Vec<u8> {
        FORMAT.encode(self)
    }

    /// Reads an artifact, and checks what it says.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ArtifactError> {
        let model: Self = FORMAT.decode(bytes)?;
        model.check()?;
        Ok(model)
    }

    pub(crate) fn check(&self) -> Result<(), ArtifactError> {
        let sound = |surprise: f32| (0.0..=1e6).contains(&surprise);
        let context = |ceiling: &Ceiling| (ceiling.protocol, ceiling.service);
        if !(self.pause > 0.0 && self.pause <= 86_400.0) {
            return Err(ArtifactError::Content(
                "its pause is not above 0 and at most a day".to_owned(),
            ));
        }
        let sound_sent = |sent: f32| sent > 0.0 && sent.is_finite();
        let all_sound = |ceiling: &Ceiling| sound(ceiling.surprise) && sound_sent(ceiling.sent);
        if !sound(self.usual) || !sound_sent(self.usual_sent) || !self.ceilings.iter().all(all_sound) {
            return Err(ArtifactError::Content("a ceiling is out of range".to_owned()));
        }
        if self.ceilings.len() > MOST_CEILINGS
            || !self
                .ceilings
                .windows(2)
                .all(|pair| context(&pair[0]) < context(&pair[1]))
        {
            return Err(ArtifactError::Content("its ceilings do not rise".to_owned()));
        }
        Ok(())
    }

    /// What flows of that protocol and service must exceed: surprise, and bytes sent.
    pub(crate) fn ceiling(&self, protocol: u16, service: u16) -> (f32, f32) {
        let found = self
            .ceilings
            .binary_search_by_key(&(protocol, service), |ceiling| {
                (ceiling.protocol, ceiling.service)
            });
        found.map_or((self.usual, self.usual_sent), |place| {
            let ceiling = &self.ceilings[place];
            (ceiling.surprise, ceiling.sent)
        })
    }
}
