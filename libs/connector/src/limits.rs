use std::time::Duration;

/// How hard, how long and how large a provider may be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Calls a second per bucket while the provider does not complain. Positive.
    pub rate: f64,
    /// Calls that a bucket at rest lets through at once. At least 1.
    pub burst: u32,
    /// Calls in flight per account, over all regions and families. At least 1.
    pub concurrency: usize,
    /// Attempts per call, the first included. At least 1.
    pub attempts: usize,
    /// Longest single attempt, body included.
    pub attempt_timeout: Duration,
    /// Longest total of back-off and `Retry-After` per call; waiting for our own bucket does not count.
    pub wait_budget: Duration,
    /// First back-off; it doubles from there.
    pub backoff_min: Duration,
    /// Longest single back-off that is our own choice.
    pub backoff_max: Duration,
    /// Pages after which a listing is taken for endless.
    pub max_pages: usize,
    /// Largest answer that is read, in bytes.
    pub max_body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rate: 40.0,
            burst: 80,
            concurrency: 16,
            attempts: 6,
            attempt_timeout: Duration::from_secs(30),
            wait_budget: Duration::from_secs(90),
            backoff_min: Duration::from_millis(250),
            backoff_max: Duration::from_secs(20),
            max_pages: 10_000,
            max_body: 64 << 20,
        }
    }
}
