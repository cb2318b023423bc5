//! The turn of a test that needs the interpreter of its process to itself, since it has other options than the tests around it.

use tokio::sync::{Mutex, MutexGuard};

/// Held as long as the test's apps live.
pub type Turn = MutexGuard<'static, ()>;

/// Waits until no other test of this program has its turn.
pub async fn take() -> Turn {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}
