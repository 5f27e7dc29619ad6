use crate::text_enum::text_enum;

text_enum! {
    /// Where a resource runs.
    pub enum Cloud as "cloud" {
        /// Amazon Web Services, any partition.
        Aws = "aws",
        /// Microsoft Azure, any national cloud.
        Azure = "azure",
        /// Google Cloud.
        Gcp = "gcp",
        /// A cluster that belongs to no cloud account Rampart knows.
        OnPremises = "on_premises",
    }
}
