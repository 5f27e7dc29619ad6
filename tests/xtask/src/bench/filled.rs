use std::path::Path;
use std::time::Instant;

use ::sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use anyhow::Context as _;
use rampart_chassis::postgres::{DATABASE, SUPERUSER, attach};
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::TempDir;

use crate::demo::process::Rampart;

/// Findings of each resource.
const EACH: u64 = 3;
/// Resources written by one statement.
const CHUNK: u64 = 50_000;
/// Controls that findings are of, with the severities that they are stored with.
const CONTROLS: [&str; 6] = [
    "k8s.pod.privileged",
    "k8s.pod.host_network",
    "k8s.net.ingress_tls",
    "k8s.net.public_load_balancer",
    "k8s.net.service_port",
    "k8s.net.no_policy_in_namespace",
];

/// `rampart serve` with the API alone, on a database with rows in it: one tenant has all but a hundredth of them.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) rampart: Rampart,
    pub(super) token: SecretString,
    /// A moment before a fiftieth of the rows changed.
    pub(super) before: String,
    /// Ids of some resources.
    pub(super) resources: Vec<String>,
    /// Ids of some clusters.
    pub(super) clusters: Vec<String>,
    _data_dir: TempDir,
}

impl Filled {
    /// Starts the process and writes so many resources, with three findings each.
    pub(super) async fn start(binary: &Path, label: &str, resources: u64) -> anyhow::Result<Self> {
        let data_dir = tempfile::Builder::new().prefix("rampart-bench").tempdir().context("no temporary directory")?;
        let settings = [("RAMPART_ROLES", "api".to_owned()), ("RAMPART_RATE_LIMIT", "100000".to_owned())];
        let rampart = Rampart::start(binary, data_dir.path(), 0, &settings).await?;
        let tenant = rampart.admin(&["create-tenant", "--name", "large"]).await?;
        let other = rampart.admin(&["create-tenant", "--name", "small"]).await?;
        let token = rampart.admin(&["create-token", "--tenant", &tenant, "--name", "bench"]).await?;
        let url = attach(data_dir.path())?.url(SUPERUSER, DATABASE);
        let mut conn = PgConnection::connect(url.expose_secret()).await.context("the private Postgres is not there")?;
        let begun = Instant::now();
        fill(&mut conn, &tenant, resources).await?;
        fill(&mut conn, &other, (resources / 100).max(1)).await?;
        let before = ::sqlx::query_scalar(
            "select to_char(history_watermark() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
        );
        let before = before.fetch_one(&mut conn).await?;
        change(&mut conn, &tenant).await?;
        run(&mut conn, "vacuum analyze").await?;
        run(&mut conn, "checkpoint").await?;
        let some = |table: &str, column: &str| {
            format!("select {column}::text from {table} where tenant_id = '{tenant}' order by {column} limit 200")
        };
        let ids = ::sqlx::query_scalar(AssertSqlSafe(some("resources", "resource_id"))).fetch_all(&mut conn).await?;
        let clusters = ::sqlx::query_scalar(AssertSqlSafe(some("clusters", "cluster_id"))).fetch_all(&mut conn).await?;
        println!(
            "{label} · {resources} resources with {} findings written in {:.1} s",
            resources * EACH,
            begun.elapsed().as_secs_f64()
        );
        let token = SecretString::from(token);
        Ok(Self { rampart, token, before, resources: ids, clusters, _data_dir: data_dir })
    }
}

async fn run(conn: &mut PgConnection, statements: &str) -> anyhow::Result<()> {
    let ran = ::sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(conn).await;
    ran.with_context(|| statements.chars().take(200).collect::<String>())?;
    Ok(())
}

async fn fill(conn: &mut PgConnection, tenant: &str, resources: u64) -> anyhow::Result<()> {
    let clusters = resources / 200 + 1;
    let checks: Vec<String> = CONTROLS
        .iter()
        .enumerate()
        .map(|(ordinal, control)| format!("('{tenant}', {ordinal}, '{control}', 'x', '{{}}')"))
        .collect();
    run(
        conn,
        &format!(
            "insert into connectors (tenant_id, connector_id, name, provider, settings)
             values ('{tenant}', md5('{tenant}')::uuid, 'bench', 'aws', '{{}}');
             insert into checks (tenant_id, ordinal, control_id, params_hash, params) values {};
             insert into clusters (tenant_id, cluster_id, name, cloud, account, region)
             select '{tenant}', md5('{tenant}c' || n)::uuid, 'cluster-' || n, 'aws', 'account-' || n % 50, 'eu-west-1'
             from generate_series(0, {clusters}) n;
             insert into coverage (tenant_id, connector_id, scope, kind, cloud, account, cluster_id, state, attempted_at,
                whole_at)
             select '{tenant}', md5('{tenant}')::uuid, 'cluster/' || n, 'k8s.deployment', 'aws', 'account-' || n % 50,
                md5('{tenant}c' || n)::uuid, 'read', now(), now() from generate_series(0, {clusters}) n",
            checks.join(", ")
        ),
    )
    .await?;
    let mut from = 0;
    while from < resources {
        let to = (from + CHUNK).min(resources);
        run(conn, &chunk(tenant, clusters, from, to)).await?;
        from = to;
    }
    run(
        conn,
        &format!(
            "insert into verdict_counts (tenant_id, unit_id, ordinal, healthy, unhealthy, decisive)
             select tenant_id, unit_id, ordinal, count(*) filter (where status = 'healthy'),
                count(*) filter (where status = 'unhealthy'), count(*) filter (where status = 'unhealthy' and risk = 4)
             from findings where tenant_id = '{tenant}' group by tenant_id, unit_id, ordinal;
             insert into score_counts (tenant_id, unit_id, score_group, healthy, unhealthy)
             select tenant_id, unit_id, 'security_configurations', 0, count(distinct resource_id)
             from findings where tenant_id = '{tenant}' group by tenant_id, unit_id;
             insert into assessments (tenant_id, unit_id, assessed_at)
             select tenant_id, cluster_id, now() from clusters where tenant_id = '{tenant}'"
        ),
    )
    .await
}

/// Resources `from` to `to` with findings and evidence as an assessment writes them.
fn chunk(tenant: &str, clusters: u64, from: u64, to: u64) -> String {
    let controls = CONTROLS.map(|control| format!("'{control}'")).join(", ");
    format!(
        "insert into resources (tenant_id, resource_id, unit_id, cluster_id, native_id, kind, name, name_lower, cloud,
            account, region, namespace, labels, managed_by, active, config, hash, connector_id, scope, first_seen, changed_at)
         select '{tenant}', md5('{tenant}' || n)::uuid, c.id, c.id, 'k8s://cluster-' || c.number || '/apps/Deployment/app-' || n,
            (array['k8s.deployment', 'k8s.statefulset', 'k8s.service', 'k8s.daemonset'])[1 + n % 4], 'app-' || md5(n::text),
            'app-' || md5(n::text), 'aws', 'account-' || c.number % 50, 'eu-west-1', 'ns-' || n % 40,
            jsonb_build_object('app', 'app-' || n % 1000, 'team', 'team-' || n % 20), 'customer', true,
            '{{\"metadata\": {{\"name\": \"app\"}}, \"spec\": {{\"replicas\": 2, \"template\": {{\"spec\": {{\"containers\":
              [{{\"name\": \"web\", \"image\": \"registry.example/web:1\", \"securityContext\": {{\"privileged\": true}}}}]}}}}}}}}',
            decode(md5(n::text), 'hex'), md5('{tenant}')::uuid, 'cluster/' || c.number, now(), now()
         from generate_series({from}, {to} - 1) n, lateral (select n % {clusters} as number, md5('{tenant}c' || n % {clusters})::uuid as id) c;
         insert into findings (tenant_id, resource_id, ordinal, control_id, severity, status, cause, unit_id, cluster_id,
            account, namespace, kind, first_seen, since, changed_at, evidence, scored, risk, open_since, rule_owner, due_days)
         select '{tenant}', r.resource_id, o, (array[{controls}])[1 + o], 1 + (n + o) % 5,
            case when (n + o) % 10 = 0 then 'healthy' else 'unhealthy' end, 'discovered', r.unit_id, r.cluster_id, r.account,
            r.namespace, r.kind, now(), now(), now(),
            jsonb_build_object('message', 'container web of app-' || n || ' is privileged', 'facts', jsonb_build_array(
                jsonb_build_object('pointer', '/spec/template/spec/containers/0/securityContext/privileged', 'value', true,
                    'call', 'GET /apis/apps/v1/deployments'))),
            true, 1 + (n + o) % 4, now(), case when n % 3 = 0 then 'team-' || n % 20 end, case when n % 3 = 0 then 30 end
         from generate_series({from}, {to} - 1) n
         join resources r on r.tenant_id = '{tenant}' and r.resource_id = md5('{tenant}' || n)::uuid,
         lateral (select (n + k) % 6 as o from generate_series(0, {EACH} - 1) k) o;
         insert into verdicts (tenant_id, resource_id, unit_id, inputs, revision, healthy, not_applicable, unknown, scored,
            evaluated_at)
         select tenant_id, resource_id, unit_id, 'x', 1, '\\x01', '\\x', '\\x', true, now()
         from resources where tenant_id = '{tenant}'
           and resource_id in (select md5('{tenant}' || n)::uuid from generate_series({from}, {to} - 1) n)"
    )
}

/// A fiftieth of the resources change, and their findings are resolved.
async fn change(conn: &mut PgConnection, tenant: &str) -> anyhow::Result<()> {
    run(
        conn,
        &format!(
            "update findings set status = 'healthy', cause = 'resource', since = now(), changed_at = now()
             where tenant_id = '{tenant}' and get_byte(uuid_send(resource_id), 0) < 5;
             update resources set hash = 'changed', revision = 2, changed_at = now()
             where tenant_id = '{tenant}' and get_byte(uuid_send(resource_id), 0) < 5"
        ),
    )
    .await
}
