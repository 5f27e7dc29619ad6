use std::fmt;
use std::str::FromStr;

/// A part of AWS with accounts, endpoints and regions of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Partition {
    /// The commercial regions.
    Aws,
    /// The US government's regions.
    UsGov,
    /// The regions in China.
    China,
}

/// What is known of a partition without asking it.
struct Facts {
    name: &'static str,
    dns_suffix: &'static str,
    /// First name parts of its regions, such as `eu` in `eu-west-1`.
    areas: &'static [&'static str],
    /// Where account-wide APIs answer.
    home: &'static str,
    /// Where the Organizations API answers.
    organizations: &'static str,
    /// Regions that no account has to enable.
    default_regions: &'static [&'static str],
}

/// Region lists as of 2026 (AWS Account Management guide, "Enable or disable AWS Regions").
const AWS: Facts = Facts {
    name: "aws",
    dns_suffix: "amazonaws.com",
    areas: &["af", "ap", "ca", "eu", "il", "me", "mx", "sa", "us"],
    home: "us-east-1",
    organizations: "us-east-1",
    default_regions: &[
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "ap-south-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "ca-central-1",
        "eu-central-1",
        "eu-north-1",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "sa-east-1",
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
    ],
};

const US_GOV: Facts = Facts {
    name: "aws-us-gov",
    dns_suffix: "amazonaws.com",
    areas: &["us-gov"],
    home: "us-gov-west-1",
    organizations: "us-gov-west-1",
    default_regions: &["us-gov-east-1", "us-gov-west-1"],
};

const CHINA: Facts = Facts {
    name: "aws-cn",
    dns_suffix: "amazonaws.com.cn",
    areas: &["cn"],
    home: "cn-north-1",
    organizations: "cn-northwest-1",
    default_regions: &["cn-north-1", "cn-northwest-1"],
};

const DIRECTIONS: [&str; 9] =
    ["central", "east", "north", "northeast", "northwest", "south", "southeast", "southwest", "west"];

impl Partition {
    const fn facts(self) -> &'static Facts {
        match self {
            Self::Aws => &AWS,
            Self::UsGov => &US_GOV,
            Self::China => &CHINA,
        }
    }

    /// The second field of every ARN in it.
    pub const fn as_str(self) -> &'static str {
        self.facts().name
    }

    /// End of the host names of its regional endpoints.
    pub const fn dns_suffix(self) -> &'static str {
        self.facts().dns_suffix
    }

    /// The region where account-wide APIs are asked.
    pub const fn home_region(self) -> &'static str {
        self.facts().home
    }

    /// The region where the Organizations API is asked.
    pub const fn organizations_region(self) -> &'static str {
        self.facts().organizations
    }

    /// Regions that every account has without enabling them.
    pub const fn default_regions(self) -> &'static [&'static str] {
        self.facts().default_regions
    }

    /// Whether a name has the form of a region of this partition: what a customer may choose.
    pub fn has_region(self, region: &str) -> bool {
        let facts = self.facts();
        let Some((rest, number)) = region.rsplit_once('-') else { return false };
        let Some((area, direction)) = rest.rsplit_once('-') else { return false };
        let numbered = (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        numbered && facts.areas.contains(&area) && DIRECTIONS.contains(&direction)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A partition that Rampart does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of the partitions aws, aws-us-gov, aws-cn")]
pub struct UnknownPartition(pub String);

impl FromStr for Partition {
    type Err = UnknownPartition;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let all = [Self::Aws, Self::UsGov, Self::China];
        all.into_iter().find(|partition| partition.as_str() == name).ok_or_else(|| UnknownPartition(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_belong_to_exactly_one_partition() {
        let all = [Partition::Aws, Partition::UsGov, Partition::China];
        for partition in all {
            for region in partition.default_regions() {
                let owners: Vec<_> = all.into_iter().filter(|p| p.has_region(region)).collect();
                assert_eq!(owners, [partition], "{region}");
            }
        }
        for opt_in in ["ap-east-2", "mx-central-1", "il-central-1", "ap-southeast-7"] {
            assert!(Partition::Aws.has_region(opt_in), "{opt_in}");
        }
        for bad in ["", "us-east", "us-east-1a", "us-gov-west-x", "evil.example/-east-1", "us--1", "us-iso-east-1"] {
            assert!(!all.into_iter().any(|p| p.has_region(bad)), "{bad}");
        }
    }
}
