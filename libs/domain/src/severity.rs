use crate::text_enum::text_enum;

text_enum! {
    /// How bad it is when a control fails. Ordered from least to worst.
    pub enum Severity as "severity" {
        /// Worth knowing.
        Informational = "informational",
        /// Hygiene.
        Low = "low",
        /// Weakens a layer of defence.
        Medium = "medium",
        /// One step away from a compromise.
        High = "high",
        /// A compromise needs nothing else.
        Critical = "critical",
    }
}
