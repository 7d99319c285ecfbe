//! Where flows come from, beside what they are.

use std::sync::Arc;

/// Who saw a flow, in which network its addresses are, and whether it came behind its turn.
///
/// Most flows say nothing of this, and then nothing is kept; the others share what is said, so that a copy costs no memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Provenance(Option<Arc<Said>>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Said {
    sensor: Box<str>,
    network: Box<str>,
    is_late: bool,
}

impl Provenance {
    /// Nothing said.
    pub const NONE: Self = Self(None);

    /// What a sensor saw in a network, each `""` where it has no name.
    pub fn new(sensor: &str, network: &str, is_late: bool) -> Self {
        let is_said = is_late || !sensor.is_empty() || !network.is_empty();
        Self(is_said.then(|| {
            Arc::new(Said {
                sensor: sensor.into(),
                network: network.into(),
                is_late,
            })
        }))
    }

    /// Whether nothing is said.
    pub const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The name of the sensor that saw the flow, `""` where it has none. It is in no key: two sensors may see one flow.
    pub fn sensor(&self) -> &str {
        self.0.as_ref().map_or("", |said| &said.sensor)
    }

    /// The name of the network that the addresses belong to, `""` where it has none: 192.168.1.10 of two networks is two
    /// hosts.
    pub fn network(&self) -> &str {
        self.0.as_ref().map_or("", |said| &said.network)
    }

    /// Whether the flow came behind its turn: flows that ended after it were counted without it.
    pub fn is_late(&self) -> bool {
        self.0.as_ref().is_some_and(|said| said.is_late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_takes_no_memory() {
        let check = |sensor: &str, network: &str, is_late: bool, is_none: bool| {
            let found = Provenance::new(sensor, network, is_late);
            assert_eq!(found.is_none(), is_none, "{found:?}");
            assert_eq!((found.sensor(), found.network()), (sensor, network));
            assert_eq!(found.is_late(), is_late);
        };
        check("", "", false, true);
        check("tap", "", false, false);
        check("", "branch", false, false);
        check("", "", true, false);
        assert_eq!(Provenance::new("", "", false), Provenance::NONE);
        assert_eq!(size_of::<Provenance>(), size_of::<usize>());
    }
}
