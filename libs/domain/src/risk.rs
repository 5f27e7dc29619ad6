use crate::text_enum::text_enum;

text_enum! {
    /// How much a finding endangers, given where its resource stands. Ordered from least to most.
    pub enum Risk as "risk level" {
        /// Mend it when there is time.
        Low = "low",
        /// Plan it.
        Medium = "medium",
        /// Mend it soon.
        High = "high",
        /// Mend it first.
        Critical = "critical",
    }
}

text_enum! {
    /// A circumstance of a resource that raises or lowers the risk of every finding on it.
    pub enum Factor as "risk factor" {
        /// Anybody on the internet reaches it.
        InternetExposed = "internet_exposed",
        /// It is reached from outside of its cluster, as far as is known not from the internet.
        NetworkExposed = "network_exposed",
        /// What runs in it can take over its node.
        Privileged = "privileged",
        /// It runs under an account that may do much in the whole cluster.
        SensitiveIdentity = "sensitive_identity",
        /// Its labels, or those of its namespace, say that it serves production.
        Production = "production",
        /// Its labels, or those of its namespace, say that it serves something else than production.
        NonProduction = "non_production",
        /// A criticality rule says that it is critical.
        CriticalityCritical = "criticality_critical",
        /// A criticality rule says that its criticality is high.
        CriticalityHigh = "criticality_high",
        /// A criticality rule says that its criticality is low.
        CriticalityLow = "criticality_low",
    }
}

text_enum! {
    /// How much depends on a resource, as a criticality rule says it. Ordered from least to most.
    pub enum Criticality as "criticality" {
        /// Little depends on it.
        Low = "low",
        /// Much depends on it.
        High = "high",
        /// The business stops without it.
        Critical = "critical",
    }
}
