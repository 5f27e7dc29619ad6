//! Who belongs to an organisation: read whole, or not at all.

use std::collections::BTreeMap;

use rampart_connector::conformance::Fault;
use rampart_connector::{
    Caller, ConnectorError, Egress, ErrorKind, MemberState, Membership, Organization, PermissionState,
};
use rampart_connector_aws::{AwsAuth, AwsConfig, AwsOrganization, Regions};
use tokio_util::sync::CancellationToken;

use crate::world::{ACCOUNT, EXTERNAL_ID, World};
use crate::{context, keys, limits};

fn organization(url: &str, auth: AwsAuth) -> AwsOrganization {
    let endpoint_override = Some(url.parse().unwrap());
    let config = AwsConfig { auth, partition: None, regions: Regions::Enabled, endpoint_override, base: Some(keys()) };
    AwsOrganization::new(config, Caller::new(limits(), CancellationToken::new()), Egress::default()).unwrap()
}

async fn members(world: &World) -> Result<Membership, ConnectorError> {
    organization(&world.url, AwsAuth::Static(keys())).members(&context(Vec::new())).await
}

#[tokio::test]
async fn every_account_is_found_once_with_the_units_above_it() {
    let world = World::start(None).await;
    let membership = members(&world).await.unwrap();
    let found: BTreeMap<_, _> =
        membership.members.iter().map(|member| (member.id.as_str(), (member.path.join("/"), member.state))).collect();
    let (active, suspended) = (MemberState::Active, MemberState::Suspended);
    let expected = [
        ("000000000001", "r-1/ou-a", active),
        ("000000000002", "r-1/ou-a", active),
        ("000000000003", "r-1/ou-a/ou-a-deep", suspended),
        ("000000000004", "r-1/ou-a/ou-a-deep", active),
        ("000000000005", "r-1/ou-b", suspended),
        ("000000000006", "r-1/ou-b", active),
        (ACCOUNT, "r-1", active),
    ];
    assert_eq!(found, expected.map(|(id, path, state)| (id, (path.to_owned(), state))).into());
    let [unit] = &membership.units[..] else { panic!("{:?}", membership.units) };
    assert_eq!((unit.name.as_str(), unit.account.as_deref()), ("o-world", Some(ACCOUNT)));
    assert_eq!(unit.config["units"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn the_permissions_are_exactly_the_calls() {
    let world = World::start(None).await;
    members(&world).await.unwrap();
    let source = organization(&world.url, AwsAuth::Static(keys()));
    let named = source.permissions().into_iter().map(|permission| permission.name).collect();
    assert_eq!(world.apis(), named);
}

#[tokio::test]
async fn whatever_fails_nothing_is_returned_and_the_error_names_the_call() {
    for (fault, expected) in [
        (Fault::Forbidden, ErrorKind::Forbidden),
        (Fault::ServerError, ErrorKind::Transient),
        (Fault::Cut, ErrorKind::Unreachable),
        (Fault::Oversized, ErrorKind::TooLarge),
        (Fault::Unsupported, ErrorKind::Unsupported),
    ] {
        for permission in organization("http://127.0.0.1:9", AwsAuth::Static(keys())).permissions() {
            let world = World::start(Some((&permission.name, fault))).await;
            let error = members(&world).await.map(|membership| membership.members.len()).unwrap_err();
            let broken = matches!((error.kind, expected), (ErrorKind::Transient, ErrorKind::Unreachable));
            assert!(error.kind == expected || broken, "{} {fault:?}: {error:?}", permission.name);
            assert_eq!(error.api, permission.name, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn throttling_is_waited_out_when_it_is_short() {
    let world = World::start(Some(("organizations:ListAccountsForParent", Fault::ThrottledOnce))).await;
    assert_eq!(members(&world).await.unwrap().members.len(), 7);
    let world = World::start(Some(("organizations:ListAccountsForParent", Fault::Throttled))).await;
    assert!(matches!(members(&world).await.unwrap_err().kind, ErrorKind::Throttled { .. }));
}

#[tokio::test]
async fn the_preflight_names_the_missing_permission_and_tries_the_role() {
    let name = "organizations:ListOrganizationalUnitsForParent";
    let world = World::start(Some((name, Fault::Forbidden))).await;
    let auth = |external_id: &str| AwsAuth::Role {
        role_arn: format!("arn:aws:iam::{ACCOUNT}:role/rampart"),
        external_id: external_id.to_owned(),
        session_name: "rampart".to_owned(),
    };
    let checks = organization(&world.url, auth(EXTERNAL_ID)).preflight(&context(Vec::new())).await.unwrap();
    assert_eq!((checks[0].permission.name.as_str(), &checks[0].state), ("sts:AssumeRole", &PermissionState::Granted));
    let missing: Vec<_> = checks.iter().filter(|check| matches!(check.state, PermissionState::Missing(_))).collect();
    assert_eq!(missing.iter().map(|check| check.permission.name.as_str()).collect::<Vec<_>>(), [name]);

    let checks = organization(&world.url, auth("rampart-0000")).preflight(&context(Vec::new())).await.unwrap();
    assert!(matches!(checks[0].state, PermissionState::Missing(_)));
    assert_eq!(checks.len(), 6);
    assert!(checks[1..].iter().all(|check| matches!(check.state, PermissionState::Unproven(_))));
}
