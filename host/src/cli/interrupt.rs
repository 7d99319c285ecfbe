//! Ctrl-C, and the system's wish that the program end.

use tokio::signal::unix::{SignalKind, signal};

/// Ends when the user or the system asks the program to.
pub(super) async fn interrupted() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// A flag that [`interrupted`] sets, for commands that have no runtime.
///
/// # Errors
/// When the thread that waits cannot be started.
pub(super) fn flag() -> std::io::Result<std::sync::Arc<std::sync::atomic::AtomicBool>> {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    std::thread::Builder::new()
        .name("netsage-signal".to_owned())
        .spawn(move || {
            runtime.block_on(interrupted());
            raised.store(true, Ordering::Release);
        })?;
    Ok(flag)
}
