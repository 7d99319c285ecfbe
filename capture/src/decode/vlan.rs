//! 802.1Q and 802.1ad tags.

use super::frame::Frame;
use super::link::Next;
use super::{ethernet, u16_at};
use crate::stats::NotMetered;

/// Priority and number of the network, then the type of what follows.
const TAG: usize = 4;

pub(super) fn parse(frame: Frame<'_>) -> Next<'_> {
    let (tag, payload) = frame.header::<TAG>().ok_or(NotMetered::LinkHeader)?;
    ethernet::by_type_or_length(u16_at(tag, 2), payload)
}
