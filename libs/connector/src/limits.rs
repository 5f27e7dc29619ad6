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

impl Limits {
    /// These limits with a part of their pace only: `fraction` of the rate, the burst and the concurrency, so that the
    /// customer's own tools keep the rest of what a provider allows. A fraction outside 0.01..=1 is taken as the nearer end.
    #[must_use]
    pub fn scaled(self, fraction: f64) -> Self {
        let fraction = if fraction.is_nan() { 1.0 } else { fraction.clamp(0.01, 1.0) };
        let part = |whole: f64| (whole * fraction).ceil().max(1.0);
        Self {
            rate: self.rate * fraction,
            burst: part(f64::from(self.burst)) as u32,
            concurrency: part(self.concurrency as f64) as usize,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn a_fraction_slows_down_and_never_stops() {
        let limits = |rate, burst, concurrency| Limits { rate, burst, concurrency, ..Limits::default() };
        assert_eq!(limits(40.0, 80, 16).scaled(0.5), limits(20.0, 40, 8));
        assert_eq!(limits(40.0, 80, 16).scaled(1.0), limits(40.0, 80, 16));
        assert_eq!(limits(40.0, 80, 16).scaled(7.0), limits(40.0, 80, 16));
        assert_eq!(limits(40.0, 8, 16).scaled(0.0), limits(0.4, 1, 1));
    }
}
