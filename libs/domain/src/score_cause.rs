use crate::text_enum::text_enum;

text_enum! {
    /// Why the counters behind a secure score moved; in the order in which the parts of a change are worked out.
    pub enum ScoreCause as "score cause" {
        /// A resource was judged for the first time.
        ResourceNew = "resource_new",
        /// A control, an assignment, a parameter or what is turned off changed.
        Content = "content",
        /// A resource or what it is judged beside changed, and violates now.
        FindingNew = "finding_new",
        /// A resource or what it is judged beside changed, and violates no more.
        Fixed = "fixed",
        /// A resource changed otherwise, such as from undetermined to healthy.
        Changed = "changed",
        /// An exemption began to hold.
        Exempted = "exempted",
        /// An exemption holds no more.
        ExemptionEnded = "exemption_ended",
        /// What was known became old or unknown, because it could not be read.
        AccessLost = "access_lost",
        /// What was old or unknown could be read.
        AccessRegained = "access_regained",
        /// The resource is gone.
        ResourceGone = "resource_gone",
    }
}
