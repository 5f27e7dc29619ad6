use std::time::{Duration, Instant};

/// Waits until `found` gives something.
///
/// # Panics
/// When it does not within `patience`.
pub async fn eventually<T>(what: &str, patience: Duration, found: impl AsyncFn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(begun.elapsed() < patience, "{what} does not come about");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
