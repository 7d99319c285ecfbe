//! Handing messages over in parts that the receiver takes.

use netsage_messages::{Digest, Message};
use netsage_store::BoxFuture;

use crate::{Failure, Undelivered};

/// What hands some messages over at once: all of them are taken, or none is.
pub(crate) trait Post: Send {
    /// Hands them over, together.
    fn post<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), Failure>>;
}

/// How many messages go at once: at most so many, fewer after a refusal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portion {
    most: usize,
    now: usize,
}

impl Portion {
    /// At most `most` messages at once; 0 counts as 1.
    pub(crate) fn of(most: usize) -> Self {
        let most = most.max(1);
        Self { most, now: most }
    }

    fn shrink(&mut self) {
        self.now = (self.now / 2).max(1);
    }

    fn grow(&mut self) {
        self.now = self.now.saturating_mul(2).min(self.most);
    }
}

/// Hands all messages over, in their order. What is refused together is handed over in halves, and a digest that is refused
/// becomes two, so that in the end one message or one alert is refused and no other with it.
pub(crate) async fn deliver(
    receiver: &mut dyn Post,
    messages: &[Message],
    portion: &mut Portion,
) -> Result<(), Undelivered> {
    let mut taken = 0;
    while let Some(rest) = messages.get(taken..).filter(|rest| !rest.is_empty()) {
        let part = rest.get(..portion.now).unwrap_or(rest);
        let failure = match receiver.post(part).await {
            Ok(()) => {
                taken += part.len();
                portion.grow();
                continue;
            }
            Err(failure) => failure,
        };
        let failure = match (failure, part) {
            (Failure::Refused(reason), [Message::Digest(digest)]) => {
                in_pieces(receiver, digest, reason).await
            }
            (Failure::Refused(_), [_, _, ..]) => {
                portion.now = part.len();
                portion.shrink();
                continue;
            }
            (failure, _) => Err(failure),
        };
        match failure {
            Ok(()) => taken += 1,
            Err(failure) => return Err(Undelivered { taken, failure }),
        }
    }
    Ok(())
}

/// Hands a digest over that was refused as a whole. The digest counts as refused when one of its alerts is.
async fn in_pieces(receiver: &mut dyn Post, digest: &Digest, reason: String) -> Result<(), Failure> {
    let Some(halves) = halves(digest) else {
        return Err(Failure::Refused(reason));
    };
    let mut refused = None;
    let mut waiting: Vec<Digest> = halves.into_iter().rev().collect();
    while let Some(piece) = waiting.pop() {
        let message = Message::Digest(piece);
        match receiver.post(std::slice::from_ref(&message)).await {
            Ok(()) => {}
            Err(Failure::Refused(reason)) => {
                let Message::Digest(piece) = &message else {
                    continue;
                };
                match self::halves(piece) {
                    Some(halves) => waiting.extend(halves.into_iter().rev()),
                    None => refused = Some(reason),
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    refused.map_or(Ok(()), |reason| Err(Failure::Refused(reason)))
}

/// Two digests with the alerts of one; the first has those that matter more. `None` when there is one alert only.
fn halves(digest: &Digest) -> Option<[Digest; 2]> {
    let middle = digest.alerts.len().div_ceil(2);
    let (first, second) = digest.alerts.split_at(middle);
    let half = |alerts: &[_]| Digest {
        alerts: alerts.to_vec(),
        ..digest.clone()
    };
    (!second.is_empty()).then(|| [half(first), half(second)])
}

#[cfg(test)]
mod tests {
    use netsage_messages::HeldBackBy;

    use super::*;

    /// Takes at most so many messages at once, and none of those with a number in the list.
    struct Choosy {
        most: usize,
        refuses: Vec<u64>,
        away_from: Option<u64>,
        posts: Vec<Vec<u64>>,
    }

    fn number(message: &Message) -> u64 {
        match message {
            Message::Test(number) => *number,
            _ => u64::MAX,
        }
    }

    impl Post for Choosy {
        fn post<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), Failure>> {
            Box::pin(async move {
                let numbers: Vec<u64> = messages.iter().map(number).collect();
                if numbers.iter().any(|number| self.away_from == Some(*number)) {
                    return Err(Failure::unavailable("away"));
                }
                if numbers.len() > self.most || numbers.iter().any(|number| self.refuses.contains(number)) {
                    return Err(Failure::Refused("unwanted".to_owned()));
                }
                self.posts.push(numbers);
                Ok(())
            })
        }
    }

    async fn check(mut choosy: Choosy, expected: &[u64], result: Option<usize>) {
        let messages: Vec<Message> = (0..10).map(Message::Test).collect();
        let delivered = deliver(&mut choosy, &messages, &mut Portion::of(8)).await;
        assert_eq!(choosy.posts.concat(), expected);
        assert_eq!(delivered.err().map(|undelivered| undelivered.taken), result);
    }

    #[tokio::test]
    async fn what_is_refused_together_goes_in_halves() {
        let all: Vec<u64> = (0..10).collect();
        let choosy = |most, refuses: &[u64], away_from| Choosy {
            most,
            refuses: refuses.to_vec(),
            away_from,
            posts: Vec::new(),
        };
        check(choosy(8, &[], None), &all, None).await;
        check(choosy(3, &[], None), &all, None).await;
        check(choosy(1, &[], None), &all, None).await;
        check(choosy(8, &[5], None), &all[..5], Some(5)).await;
        check(choosy(8, &[0], None), &[], Some(0)).await;
        check(choosy(4, &[], Some(9)), &all[..4], Some(4)).await;
    }

    #[test]
    fn a_digest_of_nothing_or_one_has_no_halves() {
        let digest = Digest {
            held_back_by: HeldBackBy::Schedule,
            since_ms: 0,
            until_ms: 1,
            alerts: Vec::new(),
        };
        assert!(halves(&digest).is_none());
    }
}
