//! The bell that wakes outputs.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time;

/// How often an output looks without having been woken: other programs may write to the same store.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Tells outputs of this program that alerts may have changed. Cheap to clone; ringing costs next to nothing and never
/// waits.
#[derive(Debug, Clone, Default)]
pub struct News(watch::Sender<()>);

impl News {
    /// Wakes every output.
    pub fn ring(&self) {
        self.0.send_replace(());
    }

    pub(crate) fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

/// One output's ear.
#[derive(Debug)]
pub(crate) struct Listener(watch::Receiver<()>);

impl Listener {
    /// Waits for a ring since the last wait, or until it is time to look anyway.
    pub(crate) async fn wait(&mut self) {
        // An error means that nobody can ring any more: then time alone wakes.
        let rung = async {
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let _ = time::timeout(LOOK_EVERY, rung).await;
    }
}
