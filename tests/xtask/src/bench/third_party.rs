use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::{Client as Http, RequestBuilder};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::measure::Meter;
use crate::contract::moto;
use crate::demo::client::{Client, NewConnector};
use crate::demo::process::{Rampart, owner_token};

const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "ap-southeast-2"];
const CLUSTERS: usize = 500;
const REPOSITORIES: usize = 1_000;
/// Any key: moto believes what it is told.
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
/// Everything that the AWS connector reads; the Kubernetes APIs of moto's clusters do not exist.
const KINDS: [&str; 13] = [
    "aws.account",
    "aws.iam.role",
    "aws.eks.cluster",
    "aws.eks.nodegroup",
    "aws.eks.fargate_profile",
    "aws.eks.addon",
    "aws.eks.access_entry",
    "aws.eks.identity_provider_config",
    "aws.eks.pod_identity_association",
    "aws.ecr.registry",
    "aws.ecr.repository",
    "aws.ecr.image",
    "aws.logs.log_group",
];

/// Fills moto and measures one scan of it.
pub(super) async fn measure(binary: &Path) -> anyhow::Result<()> {
    let (url, mut server) = start().await?;
    let http = Http::new();
    for index in 0..CLUSTERS {
        let cluster = json!({
            "name": format!("cluster-{index:03}"), "roleArn": "arn:aws:iam::123456789012:role/eks",
            "resourcesVpcConfig": { "subnetIds": ["subnet-1"] },
        });
        let region = REGIONS[index % REGIONS.len()];
        send(signed(http.post(format!("{url}/clusters")), region, "eks").json(&cluster)).await?;
    }
    for index in 0..REPOSITORIES {
        let repository = json!({ "repositoryName": format!("team-{}/service-{index:04}", index % 40) });
        let region = REGIONS[index % REGIONS.len()];
        let request = signed(http.post(&url), region, "ecr")
            .header("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.CreateRepository")
            .header("content-type", "application/x-amz-json-1.1");
        send(request.body(repository.to_string())).await?;
    }

    let data_dir = tempfile::Builder::new().prefix("rampart-bench").tempdir().context("no temporary directory")?;
    let rampart = Rampart::start(binary, data_dir.path(), 0, &[("RAMPART_AWS_ENDPOINT", url)]).await?;
    let client = Client::new(&rampart.url, owner_token(&rampart, "moto").await?)?;
    let source = json!({
        "provider": "aws", "access_key_id": KEY, "secret_access_key": "secret", "regions": REGIONS,
    });
    client.create_connector(&NewConnector { name: "moto".to_owned(), source, kinds: KINDS.to_vec() }).await?;
    let meter = Meter::start(rampart.pid()?)?;
    let scan = client.start_scan("moto").await?;
    let ended = client.watch_scan(&scan.id, |_| {}).await?;
    let measured = meter.stop()?;
    let inventory = client.inventory().await?;
    let count =
        |kind: &str| inventory.iter().find(|group| group.key.as_deref() == Some(kind)).map_or(0, |group| group.count);
    println!("moto · {} · {measured}", ended.status);
    println!("moto · {} clusters, {} repositories read", count("aws.eks.cluster"), count("aws.ecr.repository"));
    let coverage = client.coverage().await?;
    let mut unread = BTreeMap::<(&str, &str), usize>::new();
    for gap in coverage.iter().filter(|gap| !matches!(gap.state.as_str(), "read" | "not_applicable")) {
        *unread.entry((&gap.kind, &gap.state)).or_default() += 1;
    }
    for ((kind, state), places) in unread {
        println!("moto · {kind} {state} in {places} places");
    }
    let whole = count("aws.eks.cluster") == CLUSTERS as u64 && count("aws.ecr.repository") == REPOSITORIES as u64;
    ensure!(whole, "something that moto holds was not read");
    rampart.stop().await?;
    server.kill().await.context("moto did not stop")
}

async fn start() -> anyhow::Result<(String, Child)> {
    let program = moto()?;
    let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
    let server = Command::new(program)
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("could not start moto")?;
    for _ in 0..300 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Ok((format!("http://127.0.0.1:{port}"), server));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("moto does not listen after 30 s")
}

/// Moto reads account, region and service from the credential scope and checks no signature.
fn signed(request: RequestBuilder, region: &str, service: &str) -> RequestBuilder {
    let scope = format!("{KEY}/20260101/{region}/{service}/aws4_request");
    request.header("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"))
}

async fn send(request: RequestBuilder) -> anyhow::Result<()> {
    let answer = request.send().await.context("moto does not answer")?;
    let status = answer.status();
    let body: Value = answer.json().await.unwrap_or_default();
    ensure!(status.is_success(), "moto refused: {status} {body}");
    Ok(())
}
