use rampart_connector::{Member, MemberState};
use rampart_domain::{Kind, NativeId, Resource};
use serde_json::{Value, json};

use super::{GLOBAL, Place, drop_fields, set, text};
use crate::partition::Partition;

/// The organisation as `DescribeOrganization` returns it, with `units`: its roots and organisational units, each with the
/// id of what it lies in. The address of whoever owns it is left out.
pub(crate) fn organization(partition: Partition, mut described: Value, mut units: Vec<Value>) -> Option<Resource> {
    let (id, arn) = (text(&described, "Id")?.to_owned(), NativeId::new(text(&described, "Arn")?));
    let account = text(&described, "MasterAccountId")?.to_owned();
    drop_fields(&mut described, &["MasterAccountEmail"]);
    units.sort_by(|a, b| a["Id"].as_str().cmp(&b["Id"].as_str()));
    set(&mut described, "units", Value::Array(units));
    let place = Place { partition, account, region: GLOBAL.to_owned() };
    Some(place.resource(Kind::AwsOrganization, arn, &id, described))
}

/// A root or an organisational unit, as it stands in the list of units.
pub(crate) fn unit(unit: &Value, parent: Option<&str>) -> Option<Value> {
    Some(json!({ "Id": text(unit, "Id")?, "Name": text(unit, "Name"), "Arn": text(unit, "Arn"), "ParentId": parent }))
}

/// An account below `path`. `State` is newer than `Status`, which AWS is taking away; one of them must be there.
pub(crate) fn member(account: &Value, path: &[String]) -> Option<Member> {
    let id = text(account, "Id")?;
    let state = text(account, "State").or_else(|| text(account, "Status"))?;
    Some(Member {
        id: id.to_owned(),
        name: text(account, "Name").unwrap_or(id).to_owned(),
        path: path.to_vec(),
        // Anything else, also a state that is not known yet, is not there to be read.
        state: if state == "ACTIVE" { MemberState::Active } else { MemberState::Suspended },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_active_accounts_are_read_and_what_says_nothing_is_no_account() {
        let state = |account: Value| member(&account, &[]).map(|member| member.state);
        for (account, expected) in [
            (json!({"Id": "1", "State": "ACTIVE"}), Some(MemberState::Active)),
            (json!({"Id": "1", "Status": "ACTIVE"}), Some(MemberState::Active)),
            (json!({"Id": "1", "State": "SUSPENDED", "Status": "ACTIVE"}), Some(MemberState::Suspended)),
            (json!({"Id": "1", "State": "PENDING_CLOSURE"}), Some(MemberState::Suspended)),
            (json!({"Id": "1", "State": "SOMETHING_NEW"}), Some(MemberState::Suspended)),
            (json!({"Id": "1"}), None),
            (json!({"State": "ACTIVE"}), None),
        ] {
            assert_eq!(state(account.clone()), expected, "{account}");
        }
    }

    #[test]
    fn an_organisation_keeps_its_fields_and_loses_the_address() {
        let described = json!({
            "Id": "o-abc", "Arn": "arn:aws:organizations::111122223333:organization/o-abc", "FeatureSet": "ALL",
            "MasterAccountId": "111122223333", "MasterAccountEmail": "root@example.com", "NewerThanTheSdk": 1,
        });
        let units = vec![
            unit(&json!({"Id": "ou-2", "Name": "b", "Arn": "x"}), Some("r-1")),
            unit(&json!({"Id": "ou-1"}), None),
        ];
        let units = units.into_iter().flatten().collect();
        let resource = organization(Partition::Aws, described, units).expect("it has an id");
        assert_eq!((resource.name.as_str(), resource.account.as_deref()), ("o-abc", Some("111122223333")));
        assert_eq!(resource.config["NewerThanTheSdk"], 1);
        assert!(resource.config.get("MasterAccountEmail").is_none());
        assert_eq!(resource.config["units"][0]["Id"], "ou-1", "in a stable order");
    }
}
