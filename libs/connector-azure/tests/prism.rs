//! The connector against a mock that others wrote, of Microsoft's own API documents: it refuses requests that the documents
//! do not know, and answers with their examples.
//!
//! The mock is the program that `RAMPART_TEST_PRISM` names, else `prism` on the path. Without it the test says so and passes,
//! unless `RAMPART_REQUIRE_CONTRACT=1`.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

use std::process::Stdio;
use std::time::Duration;

use rampart_connector::conformance::record;
use rampart_connector::{Caller, Egress, ErrorKind, Outcome};
use rampart_connector_azure::{
    AzureAuth, AzureCloud, AzureConfig, AzureConnector, AzureIdentity, LocalAccounts, default_limits,
};
use rampart_domain::Kind;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/openapi.json");
const ID: &str = "00000000-1111-2222-3333-444444444444";

async fn prism() -> Option<(String, Child)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let program = std::env::var_os("RAMPART_TEST_PRISM").unwrap_or_else(|| "prism".into());
    let started = Command::new(program)
        .args(["mock", "-h", "127.0.0.1", "-p", &port.to_string(), DOCUMENT])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut process = match started {
        Ok(process) => process,
        Err(error) => {
            let why = format!("prism cannot be started: {error}");
            assert!(std::env::var("RAMPART_REQUIRE_CONTRACT").as_deref() != Ok("1"), "{why}");
            eprintln!("skipped: {why}; install @stoplight/prism-cli");
            return None;
        }
    };
    for _ in 0..600 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Some((format!("http://127.0.0.1:{port}"), process));
        }
        assert_eq!(process.try_wait().unwrap(), None, "prism ended");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("prism does not listen after 60 s");
}

#[tokio::test]
async fn every_request_is_one_that_the_documents_know() {
    let Some((url, _process)) = prism().await else { return };
    let identity = AzureIdentity {
        tenant_id: ID.into(),
        cloud: AzureCloud::Commercial,
        auth: AzureAuth::ClientSecret { client_id: ID.into(), secret: "secret".to_owned().into() },
        endpoint_override: Some(url.parse().unwrap()),
    };
    let config = AzureConfig { identity, subscription_id: ID.into(), local_accounts: LocalAccounts::Refused };
    let caller = Caller::new(default_limits(), CancellationToken::new());
    let connector = AzureConnector::new(config, caller, Egress::default()).unwrap();
    let seen = record(&connector, None).await;
    assert_eq!((seen.result, seen.breaches), (Ok(()), Vec::new()));
    for (listing, recorded) in &seen.listings {
        // The documents are of 2021, and of some services: what came later, and other services, are unknown to them.
        let newer = [
            Kind::AzureAksTrustedAccessRoleBinding,
            Kind::AzureAcrToken,
            Kind::AzureAcrScopeMap,
            Kind::AzureArcExtension,
            Kind::AzureSecurityPlan,
            Kind::AzureRoleAssignment,
            Kind::AzureDiagnosticSetting,
        ];
        // Their registry is a host of a test cloud, to which no token is sent.
        let inside = [Kind::AzureAcrRepository, Kind::AzureAcrImage];
        match recorded.outcome.as_ref() {
            Some(Outcome::Complete) => assert!(recorded.resources > 0, "{}: nothing was listed", listing.kind),
            Some(Outcome::Incomplete(error)) if newer.contains(&listing.kind) => {
                assert_eq!(error.kind, ErrorKind::Unsupported, "{}: {error}", listing.kind);
            }
            // The example's next page is on another host, where nobody goes.
            Some(Outcome::Incomplete(error)) if listing.kind == Kind::AzureArcCluster => {
                assert!(error.message.contains("not on the host") && recorded.resources > 0, "{error}");
            }
            Some(Outcome::Incomplete(_)) if inside.contains(&listing.kind) => {}
            outcome => panic!("{}: {outcome:?}", listing.kind),
        }
    }
    assert_eq!(seen.listings.len(), 17);
}
