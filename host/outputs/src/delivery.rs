//! From the store to an output, at least once.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use netsage_messages::Message;
use netsage_store::{Changes, SharedStore, StoreError};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::counters::Share;
use crate::handle::Order;
use crate::kept::blocking;
use crate::lease::Lease;
use crate::news::Listener;
use crate::sending::{Moment, Rules, Sending};
use crate::{
    Failure, Kept, News, Orders, Output, OutputCounters, OutputStatus, Pauses, Refused, Undelivered,
};

/// Changes read, and messages handed over, at once.
const PAGE: u32 = 100;

/// How long to gather changes once there are some, so that an alert that grows quickly is not sent for each flow.
const GATHERING: Duration = Duration::from_millis(100);

/// How long an output whose receiver refuses this sender waits before it tries again by itself.
const REFUSED_PAUSE: Duration = Duration::from_secs(15 * 60);

/// How long a test may take.
const TEST_TIME: Duration = Duration::from_secs(30);

/// Where it is kept how far an output has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// In the store, together with the lease of whoever delivers. It is saved after each page that the receiver has taken.
    Leased {
        /// The name in the store.
        name: String,
        /// The program, by an id that its data folder keeps.
        holder: String,
        /// How long a program that has died keeps the lease; [`LEASE`](crate::LEASE) unless a setting says otherwise.
        length: Duration,
    },
    /// With the receiver: it has taken everything up to this revision, or has taken nothing yet.
    Receiver(Option<u64>),
}

/// Where to begin when there is no cursor yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With the first alert in the store.
    AtFirst,
    /// With the next change: what is stored already is not sent.
    AtNext,
}

impl Begin {
    pub(crate) async fn revision(self, store: &SharedStore) -> Result<u64, StoreError> {
        match self {
            Self::AtFirst => Ok(0),
            Self::AtNext => Ok(store.changes(u64::MAX, 1).await?.newest),
        }
    }
}

/// Feeds one receiver through an output.
pub struct Delivery {
    /// The output.
    pub output: Box<dyn Output>,
    /// Its name, in the log.
    pub name: String,
    /// Where alerts come from.
    pub store: SharedStore,
    /// Where it is kept how far the output has come.
    pub cursor: Cursor,
    /// Where to begin without a cursor.
    pub begin: Begin,
    /// What goes out, and when.
    pub rules: Rules,
    /// What lies in the data folder; without it no events are sent, and what a receiver refuses is only counted.
    pub kept: Option<Kept>,
    /// What wakes the output.
    pub news: News,
    /// What is asked of it.
    pub orders: Orders,
    /// What it counts.
    pub counters: Arc<OutputCounters>,
    /// Pauses after a failure of the receiver or the store.
    pub pauses: Pauses,
}

impl Delivery {
    /// Delivers until the receiver is gone. Dropping the future ends it at any time; what was not acknowledged until
    /// then comes again at the next start.
    pub async fn run(self) {
        let mut feed = Feed::new(self);
        loop {
            match feed.turn().await {
                Ok(Next::Again) => {}
                Ok(Next::Gather) => sleep(GATHERING).await,
                Ok(Next::Wait) => feed.wait().await,
                Err(Gone) => return,
            }
        }
    }
}

/// The receiver is gone for good.
struct Gone;

/// What to do after a turn.
enum Next {
    Again,
    /// Soon: there may be more.
    Gather,
    /// When something happens.
    Wait,
}

/// Where a message comes from, and goes back to when it is done with.
enum Origin {
    Sending,
    Event(u64),
    SetAside,
}

/// A delivery at work.
struct Feed {
    output: Box<dyn Output>,
    name: String,
    store: SharedStore,
    /// `None` where the receiver keeps the cursor.
    lease: Option<Lease>,
    receiver_has: Option<u64>,
    begin: Begin,
    rules: Rules,
    kept: Option<Kept>,
    listener: Listener,
    orders: Orders,
    share: Share,
    /// What waits, while this program is the one that delivers.
    sending: Option<Sending>,
    /// What was set aside and is to be sent again.
    repeats: Vec<Message>,
    /// Who wants to know when nothing is due any more.
    settling: Vec<oneshot::Sender<Result<(), usize>>>,
    began: Instant,
    receiver_pauses: Pauses,
    store_pauses: Pauses,
    /// The receiver is not tried before.
    receiver_from: Instant,
    /// The store is not asked before.
    store_from: Instant,
    /// The lease is to be renewed, or looked at, then.
    lease_at: Instant,
}

impl Feed {
    fn new(delivery: Delivery) -> Self {
        let now = Instant::now();
        let (lease, receiver_has) = match delivery.cursor {
            Cursor::Leased { name, holder, length } => {
                let lease = Lease::new(Arc::clone(&delivery.store), name, holder, length);
                (Some(lease), None)
            }
            Cursor::Receiver(revision) => (None, revision),
        };
        Self {
            output: delivery.output,
            name: delivery.name,
            store: delivery.store,
            lease,
            receiver_has,
            begin: delivery.begin,
            rules: delivery.rules,
            kept: delivery.kept,
            listener: delivery.news.listen(),
            orders: delivery.orders,
            share: Share::of(delivery.counters),
            sending: None,
            repeats: Vec::new(),
            settling: Vec::new(),
            began: now,
            receiver_pauses: delivery.pauses,
            store_pauses: delivery.pauses,
            receiver_from: now,
            store_from: now,
            lease_at: now,
        }
    }

    /// Reads what is new, and hands over what is due.
    async fn turn(&mut self) -> Result<Next, Gone> {
        self.obey().await;
        let mut has_more = false;
        if Instant::now() >= self.store_from {
            match self.read().await {
                Ok(more) => {
                    has_more = more;
                    self.store_pauses.reset();
                }
                Err(error) => self.pause_for_store(&error),
            }
        }
        self.tell_status();
        let is_stuck = Instant::now() < self.receiver_from.max(self.store_from);
        if is_stuck {
            self.settle();
        }
        if Instant::now() < self.receiver_from {
            return Ok(Next::Wait);
        }
        let now = self.now();
        if let Some(sending) = self.sending.as_mut().filter(|_| !self.settling.is_empty()) {
            sending.end_growth(now);
        }
        let (origins, messages) = self.collect();
        if messages.is_empty() {
            if !has_more {
                self.settle();
            }
            return Ok(if has_more { Next::Again } else { Next::Wait });
        }
        self.hand_over(&origins, &messages).await?;
        self.save().await;
        self.tell_status();
        Ok(if has_more { Next::Again } else { Next::Gather })
    }

    /// Answers who waits until nothing is due any more, or until the output is stuck.
    fn settle(&mut self) {
        if self.settling.is_empty() {
            return;
        }
        let alerts = self.sending.as_ref().map_or(0, Sending::waiting);
        let has_events = self.kept.as_ref().is_some_and(|kept| !kept.events(1).is_empty());
        let answer = match alerts {
            0 if !has_events => Ok(()),
            waiting => Err(waiting),
        };
        for settling in self.settling.drain(..) {
            // Nobody may wait for the answer any more.
            let _ = settling.send(answer);
        }
    }

    /// Becomes or stays the one who delivers, and reads a page of changes; returns whether there may be more.
    async fn read(&mut self) -> Result<bool, StoreError> {
        let now = Instant::now();
        if self.lease.is_some() && (now >= self.lease_at || self.sending.is_none()) {
            self.look_at_lease(now).await?;
        }
        if self.lease.is_none() && self.sending.is_none() {
            let after = match self.receiver_has {
                Some(revision) => revision,
                None => self.begin.revision(&self.store).await?,
            };
            self.sending = Some(Sending::new(self.rules.clone(), after));
        }
        let now = self.now();
        let is_blocked = Instant::now() < self.receiver_from;
        let Some(sending) = &mut self.sending else {
            return Ok(false);
        };
        // A receiver that takes nothing is no reason to read on.
        if !sending.has_room() || (is_blocked && sending.waiting() >= PAGE as usize) {
            return Ok(false);
        }
        let Changes { items, newest } = self.store.changes(sending.read(), PAGE).await?;
        if items.is_empty() {
            if newest < sending.read() {
                let after = sending.read();
                let output = &self.name;
                tracing::warn!(
                    output,
                    after,
                    newest,
                    "the store has no such revision, going on with its newest"
                );
            }
            // Whatever had these revisions has changed since or is deleted.
            sending.has_read(newest);
        }
        let has_more = items.len() == PAGE as usize;
        self.share.received(items.len());
        for change in items {
            if !sending.offer(change, now) {
                self.share.filtered();
            }
        }
        self.share.lags(newest.saturating_sub(sending.cursor()));
        Ok(has_more)
    }

    async fn look_at_lease(&mut self, now: Instant) -> Result<(), StoreError> {
        let Some(lease) = &mut self.lease else {
            return Ok(());
        };
        self.lease_at = now + lease.interval();
        if let Some(sending) = &self.sending {
            if lease.renew(Some(sending.cursor())).await?.is_err() {
                tracing::info!(output = self.name, "another program delivers now");
                self.sending = None;
                self.share.lags(0);
            }
            return Ok(());
        }
        if let Some(after) = lease.take(self.begin).await? {
            self.sending = Some(Sending::new(self.rules.clone(), after));
        }
        Ok(())
    }

    /// What is to be handed over now, and where each comes from.
    fn collect(&mut self) -> (Vec<Origin>, Vec<Message>) {
        let most = PAGE as usize;
        let mut origins = Vec::new();
        let mut messages: Vec<Message> = self.repeats.iter().take(most).cloned().collect();
        origins.extend(messages.iter().map(|_| Origin::SetAside));
        if let Some(kept) = &self.kept {
            for event in kept.events(most - messages.len()) {
                origins.push(Origin::Event(event.number));
                messages.push(Message::Event(event));
            }
        }
        let now = self.now();
        let may_send = self.lease.as_ref().is_none_or(Lease::is_held);
        if let Some(sending) = self.sending.as_mut().filter(|_| may_send) {
            let due = sending.due(now, most - messages.len());
            origins.extend(due.iter().map(|_| Origin::Sending));
            messages.extend(due);
        }
        (origins, messages)
    }

    async fn hand_over(&mut self, origins: &[Origin], messages: &[Message]) -> Result<(), Gone> {
        let Some(answer) = self.deliver(messages).await else {
            return Ok(());
        };
        let (taken, failure) = match answer {
            Ok(()) => (messages.len(), None),
            Err(Undelivered { taken, failure }) => (taken.min(messages.len()), Some(failure)),
        };
        self.share.delivered(taken);
        for (origin, message) in origins.iter().zip(messages).take(taken) {
            self.done(origin, message, true).await;
        }
        if taken > 0 || failure.is_none() {
            self.receiver_pauses.reset();
            self.status(|status| {
                status.last_taken_ms = Some(Timestamp::now().as_millisecond());
                (status.failure, status.paused) = (None, None);
            });
        }
        match failure {
            None => {}
            Some(Failure::Gone) => return Err(Gone),
            Some(Failure::Refused(reason)) => {
                if let (Some(origin), Some(message)) = (origins.get(taken), messages.get(taken)) {
                    self.set_aside(message, reason).await;
                    self.done(origin, message, false).await;
                }
                self.receiver_pauses.reset();
            }
            Some(Failure::SenderRefused(reason)) => {
                self.share.sender_refused();
                self.receiver_from = Instant::now() + REFUSED_PAUSE;
                tracing::error!(output = self.name, %reason, "output paused, the receiver refuses this sender");
                self.status(|status| status.paused = Some(reason));
            }
            Some(Failure::Unavailable { reason, retry_after }) => {
                self.share.receiver_failed();
                let pause = self.receiver_pauses.take().max(retry_after.unwrap_or_default());
                self.receiver_from = Instant::now() + pause;
                let retry_in_ms = pause.as_millis() as u64;
                tracing::warn!(output = self.name, %reason, retry_in_ms, "messages not delivered");
                self.status(|status| status.failure = Some(reason));
            }
        }
        Ok(())
    }

    /// The answer of the output; `None` when another program has begun to deliver meanwhile, or may have.
    async fn deliver(&mut self, messages: &[Message]) -> Option<Result<(), Undelivered>> {
        let mut delivering = self.output.deliver(messages);
        loop {
            let Some(lease) = self.lease.as_mut().filter(|_| self.sending.is_some()) else {
                return Some(delivering.await);
            };
            let interval = lease.interval();
            tokio::select! {
                biased;
                answer = &mut delivering => return Some(answer),
                () = sleep_until(self.lease_at) => {}
            }
            self.lease_at = Instant::now() + interval;
            // A store that does not answer must not keep this program from seeing that its time is over.
            match timeout(interval, lease.renew(None)).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(_lost))) => {
                    drop(delivering);
                    self.sending = None;
                    return None;
                }
                Ok(Err(_)) | Err(_) if lease.is_held() => self.share.store_failed(),
                Ok(Err(_)) | Err(_) => {
                    drop(delivering);
                    self.sending = None;
                    self.share.store_failed();
                    return None;
                }
            }
        }
    }

    /// Takes note that a message is done with; `is_taken` is false for one that was set aside.
    async fn done(&mut self, origin: &Origin, message: &Message, is_taken: bool) {
        let now = self.now();
        let written = match (origin, &mut self.kept) {
            (Origin::Sending, _) => {
                if let Some(sending) = &mut self.sending {
                    sending.done(message, now);
                }
                return;
            }
            (Origin::Event(number), Some(kept)) => kept.done(*number).await,
            (Origin::SetAside, kept) => {
                let id = message.id();
                self.repeats.retain(|repeat| repeat.id() != id);
                match kept {
                    Some(kept) if is_taken => {
                        let set_aside = Arc::clone(&kept.set_aside);
                        blocking(move || set_aside.forget(&id)).await.map(drop)
                    }
                    _ => Ok(()),
                }
            }
            (Origin::Event(_), None) => Ok(()),
        };
        if let Err(error) = written {
            tracing::warn!(output = self.name, %error, "what was sent is not noted, it may be sent again");
        }
    }

    async fn set_aside(&mut self, message: &Message, reason: String) {
        let id = message.id();
        tracing::error!(output = self.name, message = id, %reason, "message set aside");
        self.share.refused();
        let Some(kept) = &self.kept else { return };
        let set_aside = Arc::clone(&kept.set_aside);
        let refused = Refused {
            message: message.clone(),
            reason,
            at_ms: Timestamp::now().as_millisecond(),
        };
        if let Err(error) = blocking(move || set_aside.keep(refused)).await {
            tracing::warn!(output = self.name, %error, "what was set aside is kept in memory only");
        }
    }

    /// Saves the cursor. When that fails the receiver gets repeats after a restart, and the next page saves it again.
    async fn save(&mut self) {
        let Some(sending) = &self.sending else { return };
        let cursor = sending.cursor();
        let Some(lease) = &mut self.lease else { return };
        if lease.revision() == Some(cursor) {
            return;
        }
        match lease.renew(Some(cursor)).await {
            Ok(Ok(())) => self.lease_at = Instant::now() + lease.interval(),
            Ok(Err(_lost)) => {
                self.sending = None;
                self.share.lags(0);
            }
            Err(error) => {
                self.share.store_failed();
                tracing::warn!(output = self.name, %error, "cursor not saved");
            }
        }
    }

    fn pause_for_store(&mut self, error: &StoreError) {
        self.share.store_failed();
        let pause = self.store_pauses.take();
        self.store_from = Instant::now() + pause;
        tracing::warn!(output = self.name, %error, retry_in_ms = pause.as_millis() as u64, "store not read, no alert is sent");
    }

    /// Does what was asked.
    async fn obey(&mut self) {
        while let Ok(order) = self.orders.orders.try_recv() {
            self.obey_order(order).await;
        }
    }

    async fn obey_order(&mut self, order: Order) {
        match order {
            Order::Settle(answer) => self.settling.push(answer),
            Order::Resume => self.receiver_from = Instant::now(),
            Order::Repeat(ids) => {
                let all = self
                    .kept
                    .as_ref()
                    .map(|kept| kept.set_aside.list())
                    .unwrap_or_default();
                let asked = all.into_iter().map(|refused| refused.message);
                self.repeats = asked
                    .filter(|message| ids.is_empty() || ids.contains(&message.id()))
                    .collect();
            }
            Order::Test(number, answer) => {
                let tested = timeout(TEST_TIME, self.output.deliver(&[Message::Test(number)])).await;
                let told = match tested {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(undelivered)) => Err(undelivered.failure.to_string()),
                    Err(_) => Err(format!(
                        "the receiver has not answered for {} s",
                        TEST_TIME.as_secs()
                    )),
                };
                // Nobody may wait for the answer any more.
                let _ = answer.send(told);
            }
            Order::Reopen(answer) => {
                let _ = answer.send(self.output.reopen());
            }
        }
    }

    /// Waits for news, an order, or the next moment at which something is to be done.
    async fn wait(&mut self) {
        let now = Instant::now();
        let mut until = now + Duration::from_secs(60);
        if self.lease.is_some() {
            until = until.min(self.lease_at);
        }
        for from in [self.receiver_from, self.store_from] {
            if from > now {
                until = until.min(from);
            }
        }
        let due = self.sending.as_ref().and_then(|sending| sending.next(self.now()));
        if let Some(due) = due.map(|due| self.began + due).filter(|due| *due > now) {
            until = until.min(due);
        }
        let orders = &mut self.orders.orders;
        let order = async {
            match orders.recv().await {
                Some(order) => order,
                // Nobody is left to ask anything.
                None => std::future::pending().await,
            }
        };
        let news = async {
            self.listener.wait().await;
            sleep(GATHERING).await;
        };
        tokio::select! {
            () = news => {}
            () = sleep_until(until) => {}
            order = order => self.obey_order(order).await,
        }
    }

    fn now(&self) -> Moment {
        Moment {
            wall_ms: Timestamp::now().as_millisecond(),
            uptime: self.began.elapsed(),
        }
    }

    fn tell_status(&mut self) {
        let due = self
            .sending
            .as_ref()
            .and_then(|sending| sending.due_since(self.now()));
        self.share.owes(due.map(|due| self.began + due));
        self.status(|status| {
            status.is_leading = self.sending.is_some();
            status.waiting = self.sending.as_ref().map_or(0, Sending::waiting);
        });
    }

    fn status(&self, change: impl FnOnce(&mut OutputStatus)) {
        change(&mut self.orders.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
