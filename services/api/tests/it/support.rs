use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use rampart_api::{App, Config};
use rampart_batch::{CollectorToken, Frame, Header, Packer};
use rampart_content::Catalogue;
use rampart_domain::{ClusterId, TenantId};
use rampart_store::keyring::Keyring;
use rampart_store::testing::{TestDatabase, database};
use rampart_store::{AccessScope, Role, admin, issuer_key};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use uuid::Uuid;

/// Where the API under test says that it is an OIDC issuer.
pub(crate) const ISSUER: &str = "https://rampart.example";

/// The API on a database of its own.
pub(crate) struct TestApi {
    pub db: TestDatabase,
    pub router: Router,
}

/// An answer, read to the end.
#[derive(Debug)]
pub(crate) struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answered {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in `{}`", self.text))
    }

    /// The code of the problem that this must be.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        let kind = self.headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{} {}", self.status, self.text);
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16(), "{problem}");
        assert_eq!(problem["request_id"], self.headers["x-request-id"].to_str().unwrap(), "{problem}");
        problem["code"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

/// The source of a control of that id.
pub(crate) fn control_source(id: &str) -> String {
    format!(
        "id: {id}\nversion: 1\ntitle: Own\nseverity: high\ngroup: best_practices\ntype: data_plane\nkinds: [workload]\n\
         rationale: Why.\nviolation: has(resource.labels.bad)\nmessage: \"'wrong'\"\n\
         remediation: {{ text: Do., manual: by hand }}\nexamples:\n  - {{ name: a, status: healthy, object: {{}} }}\n  \
         - {{ name: b, status: unhealthy, object: {{}}, resource: {{ labels: {{ bad: x }} }} }}\n"
    )
}

/// An admission policy without a binding.
pub(crate) const POLICY: &str = "\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: replicas }
spec:
  matchConstraints:
    resourceRules: [{ apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments] }]
  validations:
    - expression: object.spec.replicas >= 2
";

/// What one tenant has: two clusters in two accounts, and a row of everything.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub tenant: TenantId,
    pub owner: String,
    /// Cluster in account 111, and what lies in it.
    pub cluster: Uuid,
    pub resource: Uuid,
    /// What delivers that resource.
    pub fix_unit: Uuid,
    pub digest: String,
    /// Cluster in account 222.
    pub other_cluster: Uuid,
    pub other_resource: Uuid,
    pub connector: Uuid,
    /// A connector of an organisation, with one account that waits to be added.
    pub organization: Uuid,
    pub account: String,
    pub preview: Uuid,
    /// Connector that a collector pushes to, a session of it, and the batch that began the session.
    pub pushed: Uuid,
    pub session: Uuid,
    pub batch: Vec<u8>,
    pub scan: Uuid,
    pub preflight: Uuid,
    pub initiative: String,
    /// A control of its own, a bundle of policies, and a trial of the control.
    pub custom_control: String,
    pub bundle: String,
    pub trial: Uuid,
    pub assignment: Uuid,
    pub readiness: Uuid,
    pub exemption: Uuid,
    pub disabled_control: Uuid,
    pub governance_rule: Uuid,
    pub criticality_rule: Uuid,
    pub token: Uuid,
    pub identity_provider: Uuid,
    pub audit_entry: Uuid,
    pub what_if: Uuid,
    pub finding_bundle: Uuid,
    pub webhook: Uuid,
    pub delivery: Uuid,
}

pub(crate) async fn start() -> TestApi {
    let issuer_url = Some(ISSUER.parse().unwrap());
    start_with(Config { issuer_url, ..open() }).await
}

/// A configuration that turns nobody away for asking often.
pub(crate) fn open() -> Config {
    Config { rate_limit: 10_000, address_rate_limit: 10_000, ..Config::default() }
}

fn keyring() -> Arc<Keyring> {
    let key = SecretString::from("test:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
    Arc::new(Keyring::parse(&key).unwrap())
}

pub(crate) async fn start_with(config: Config) -> TestApi {
    let db = database().await;
    if config.issuer_url.is_some() {
        issuer_key::keep(&db.store, &keyring(), chrono::Utc::now()).await.unwrap();
    }
    let app = App::new(&config, db.store.clone(), keyring(), Catalogue::embedded().unwrap());
    TestApi { router: rampart_api::router(app), db }
}

async fn read(router: Router, request: Request<Body>) -> Answered {
    let response = router.oneshot(request).await.unwrap();
    let (parts, mut body) = response.into_parts();
    // Of what does not end, the beginning.
    if parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream") {
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let text = String::from_utf8(first.to_vec()).unwrap();
        return Answered { status: parts.status, headers: parts.headers, text };
    }
    let bytes = to_bytes(body, 16 << 20).await.unwrap();
    Answered { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

/// The id of what was made.
fn made(answered: &Answered) -> Uuid {
    let body = answered.json();
    assert!(answered.status.is_success(), "{body}");
    body["id"].as_str().map(|id| id.parse().unwrap()).unwrap_or_default()
}

/// Another process over the same database.
#[derive(Clone)]
pub(crate) struct Replica(Router);

impl Replica {
    pub(crate) async fn get(&self, path: &str, token: &str, headers: &[(&str, &str)]) -> Answered {
        let mut request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(self.0.clone(), request.body(Body::empty()).unwrap()).await
    }
}

impl TestApi {
    pub(crate) async fn send(&self, request: Request<Body>) -> Answered {
        read(self.router.clone(), request).await
    }

    /// Starts another process over the same database.
    pub(crate) fn replica(&self, config: &Config) -> Replica {
        let app = App::new(config, self.db.store.clone(), keyring(), Catalogue::embedded().unwrap());
        Replica(rampart_api::router(app))
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answered {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answered {
        self.call(Method::GET, path, token, &[], None).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Answered {
        self.call(Method::POST, path, token, &[], Some(body)).await
    }

    /// Sends bytes as they are.
    pub(crate) async fn push(&self, path: &str, token: &str, body: Vec<u8>) -> Answered {
        let mut request = Request::builder().method(Method::POST).uri(path);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    pub(crate) async fn token(&self, tenant: TenantId, role: Role, scope: AccessScope) -> String {
        let secret = admin::create_token(&self.db.store, tenant, "test", role, scope, 30).await.unwrap();
        secret.expose_secret().to_owned()
    }

    pub(crate) async fn scoped(&self, world: &World, role: Role, cluster: Uuid) -> String {
        self.token(world.tenant, role, AccessScope::Cluster(ClusterId(cluster))).await
    }

    /// A tenant with a row of everything. `name` marks its names, so that a leak shows.
    pub(crate) async fn world(&self, name: &str) -> World {
        let tenant = admin::create_tenant(&self.db.store, name).await.unwrap();
        let owner = self.token(tenant, Role::Owner, AccessScope::Tenant).await;
        let connector = self
            .post(
                "/v1/connectors",
                &owner,
                json!({"name": format!("{name}-aws"), "source": {"provider": "aws",
                "role_arn": "arn:aws:iam::111111111111:role/rampart"}}),
            )
            .await;
        let connector = made(&connector);
        let organization = json!({"name": format!("{name}-organization"), "source": {"provider": "aws",
            "role_arn": "arn:aws:iam::111111111111:role/rampart", "organization": {"auto_add": false}}});
        let organization = made(&self.post("/v1/connectors", &owner, organization).await);
        let preview = self.post(&format!("/v1/connectors/{organization}/previews"), &owner, json!({})).await;
        let preview = made(&preview);
        let scan = made(&self.post(&format!("/v1/connectors/{connector}/scans"), &owner, json!({})).await);
        let preflight = made(&self.post(&format!("/v1/connectors/{connector}/test"), &owner, json!({})).await);
        let (pushed, session, batch) = self.pushed(name, &owner).await;
        let initiative = format!("{name}-initiative");
        let custom = json!({"name": initiative, "title": "Own", "controls": [{"id": "*"}]});
        made(&self.post("/v1/initiatives", &owner, custom).await);
        let custom_control = format!("custom.{}", name.replace('-', "_"));
        let bundle = format!("{name}-policies");
        let source = control_source(&custom_control);
        self.post("/v1/custom-controls", &owner, json!({"source": source})).await.expect(StatusCode::CREATED);
        let policies = json!({"name": bundle, "source": POLICY});
        self.post("/v1/policies", &owner, policies).await.expect(StatusCode::CREATED);
        let trial = json!({"format": "control", "source": source});
        let trial = made(&self.post("/v1/policy-trials", &owner, trial).await);
        let mut world = World {
            tenant,
            owner,
            cluster: Uuid::new_v4(),
            resource: Uuid::new_v4(),
            fix_unit: Uuid::new_v4(),
            digest: format!("sha256:{}", Uuid::new_v4().simple().to_string().repeat(2)),
            other_cluster: Uuid::new_v4(),
            other_resource: Uuid::new_v4(),
            connector,
            organization,
            account: "111111111111".to_owned(),
            preview,
            pushed,
            session,
            batch,
            scan,
            preflight,
            initiative,
            custom_control,
            bundle,
            trial,
            assignment: Uuid::nil(),
            readiness: Uuid::nil(),
            exemption: Uuid::nil(),
            disabled_control: Uuid::nil(),
            governance_rule: Uuid::nil(),
            criticality_rule: Uuid::nil(),
            token: Uuid::nil(),
            identity_provider: Uuid::nil(),
            audit_entry: Uuid::nil(),
            what_if: Uuid::nil(),
            finding_bundle: Uuid::nil(),
            webhook: Uuid::nil(),
            delivery: Uuid::nil(),
        };
        self.seed(&world, name).await;
        let assignment = json!({"name": format!("{name}-assignment"), "initiative": "rampart-default",
            "scope": {"type": "cluster", "cluster_id": world.cluster}});
        world.assignment = made(&self.post("/v1/assignments", &world.owner, assignment).await);
        let readiness = json!({"cluster_id": world.cluster});
        world.readiness = made(&self.post("/v1/pod-security-readiness", &world.owner, readiness).await);
        let exemption = json!({"name": format!("{name}-exemption"), "category": "waiver", "reason": "accepted",
            "controls": ["k8s.pod.host_path"], "where": {"cluster": world.cluster}});
        world.exemption = made(&self.post("/v1/exemptions", &world.owner, exemption).await);
        let disabled = json!({"control": "k8s.pod.host_port", "reason": format!("{name}-one needs them"),
            "scope": {"type": "cluster", "cluster_id": world.cluster}});
        world.disabled_control = made(&self.post("/v1/disabled-controls", &world.owner, disabled).await);
        let scope = json!({"type": "cluster", "cluster_id": world.cluster});
        let rule = json!({"name": format!("{name}-governance"), "priority": 100, "owner": "team", "scope": scope});
        world.governance_rule = made(&self.post("/v1/governance-rules", &world.owner, rule).await);
        let rule = json!({"name": format!("{name}-criticality"), "level": "high", "scope": scope});
        world.criticality_rule = made(&self.post("/v1/criticality-rules", &world.owner, rule).await);
        self.callers(&mut world, name).await;
        let changes = json!([{"type": "delete", "resource_id": world.resource}]);
        let finding = json!({"finding_id": format!("{}.0", world.resource)});
        world.finding_bundle = made(&self.post("/v1/finding-bundles", &world.owner, finding).await);
        world.what_if = made(&self.post("/v1/what-if", &world.owner, json!({"changes": changes})).await);
        world
    }

    /// Who calls, and who is told.
    async fn callers(&self, world: &mut World, name: &str) {
        let scope = json!({"type": "cluster", "cluster_id": world.cluster});
        let token = json!({"name": format!("{name}-token"),
            "grants": [{"role": "security_reader", "scope": {"type": "tenant"}}]});
        world.token = made(&self.post("/v1/tokens", &world.owner, token).await);
        let rule =
            json!({"claims": [{"path": "/groups", "value": format!("{name}-one")}], "role": "owner", "scope": scope});
        let provider = json!({"name": format!("{name}-sso"), "issuer": "https://sso.example", "rules": [rule]});
        world.identity_provider = made(&self.post("/v1/identity-providers", &world.owner, provider).await);
        let entry = self.get("/v1/audit-log?limit=1", &world.owner).await.json();
        world.audit_entry = entry["items"][0]["id"].as_str().unwrap().parse().unwrap();
        let webhook = json!({"name": format!("{name}-webhook"), "url": "https://hooks.example/in",
            "events": ["finding.opened"]});
        world.webhook = made(&self.post("/v1/webhooks", &world.owner, webhook).await);
        let test = format!("/v1/webhooks/{}/test", world.webhook);
        world.delivery = made(&self.post(&test, &world.owner, json!({})).await);
    }

    /// A connector that is pushed to, with a session that began.
    async fn pushed(&self, name: &str, owner: &str) -> (Uuid, Uuid, Vec<u8>) {
        let source = json!({"provider": "kubernetes", "delivery": "push"});
        let body = json!({"name": format!("{name}-pushed"), "source": source});
        let made = self.post("/v1/connectors", owner, body).await.expect(StatusCode::ACCEPTED).json();
        let connector: Uuid = made["id"].as_str().unwrap().parse().unwrap();
        let token = SecretString::from(made["collector_token"].as_str().unwrap());
        let (session, body) = (Uuid::new_v4(), Packer::new(1 << 20).finish());
        let header = Header {
            session,
            sequence: 0,
            last: false,
            started_at: chrono::Utc::now(),
            length: 0,
            signature: String::new(),
        };
        let header = header.sign(&body, &CollectorToken::parse(&token).unwrap().key);
        let batch = Frame { header, body: &body }.to_bytes();
        let path = format!("/v1/connectors/{connector}/batches");
        self.push(&path, owner, batch.clone()).await.expect(StatusCode::ACCEPTED);
        (connector, session, batch)
    }

    async fn seed(&self, world: &World, name: &str) {
        let World { tenant, cluster, resource, digest, other_cluster, other_resource, connector, .. } = world;
        let (image, organization, account) = (Uuid::new_v4(), world.organization, &world.account);
        let fix_unit = world.fix_unit;
        let mut sql = vec![format!(
            "insert into organization_members (tenant_id, connector_id, account, name, state, first_seen)
             values ('{tenant}', '{organization}', '{account}', '{name}-account', 'active', now());
             insert into checks (tenant_id, ordinal, control_id, params_hash, params) values
                ('{tenant}', 0, 'k8s.pod.privileged', 'x', '{{}}'), ('{tenant}', 9, 'k8s.pod.host_network', 'x', '{{}}');"
        )];
        for (cluster, resource, account, label) in
            [(cluster, resource, "111111111111", "one"), (other_cluster, other_resource, "222222222222", "two")]
        {
            sql.push(format!(
                "insert into clusters (tenant_id, cluster_id, name, cloud, account, region, native_id)
                 values ('{tenant}', '{cluster}', '{name}-{label}', 'aws', '{account}', 'eu-west-1', '{cluster}');
                 insert into resources (tenant_id, resource_id, unit_id, cluster_id, native_id, kind, name, name_lower,
                    cloud, account, region, namespace, labels, managed_by, active, config, hash, connector_id, scope,
                    first_seen, changed_at)
                 values ('{tenant}', '{resource}', '{cluster}', '{cluster}', 'k8s://{name}/{label}/web',
                    'k8s.deployment', '{name}-{label}-Web', '{name}-{label}-web', 'aws', '{account}', 'eu-west-1',
                    'shop', '{{\"app\": \"web\"}}', 'customer', true, '{{\"spec\": {{}}}}', 'x', '{connector}',
                    'cluster/{cluster}', now(), now());
                 insert into verdicts (tenant_id, resource_id, unit_id, inputs, revision, healthy, not_applicable,
                    unknown, scored, evaluated_at)
                 values ('{tenant}', '{resource}', '{cluster}', 'x', 1, '\\x0002', '\\x', '\\x', true, now());
                 insert into findings (tenant_id, resource_id, ordinal, control_id, severity, status, cause, unit_id,
                    cluster_id, account, namespace, kind, first_seen, since, changed_at, evidence, scored, risk)
                 values ('{tenant}', '{resource}', 0, 'k8s.pod.privileged', 4, 'unhealthy', 'discovered', '{cluster}',
                    '{cluster}', '{account}', 'shop', 'k8s.deployment', now(), now(), now(),
                    '{{\"message\": \"container {name}-{label} is privileged\", \"facts\": []}}', true, 3);
                 insert into finding_events (tenant_id, resource_id, ordinal, at, from_status, to_status, cause)
                 values ('{tenant}', '{resource}', 0, now(), 'healthy', 'unhealthy', 'resource');
                 insert into resource_versions (tenant_id, resource_id, revision, kind, native_id, config, valid_from,
                    valid_to, gone)
                 values ('{tenant}', '{resource}', 1, 'k8s.deployment', 'x', '{{}}', now() - interval '1 h', now(), false);
                 insert into coverage (tenant_id, connector_id, scope, kind, cloud, account, cluster_id, state,
                    attempted_at, whole_at)
                 values ('{tenant}', '{connector}', 'cluster/{cluster}', 'k8s.deployment', 'aws', '{account}',
                    '{cluster}', 'read', now(), now());
                 insert into verdict_counts (tenant_id, unit_id, ordinal, healthy, unhealthy, decisive)
                 values ('{tenant}', '{cluster}', 0, 0, 1, 1), ('{tenant}', '{cluster}', 9, 1, 0, 0);
                 insert into score_counts (tenant_id, unit_id, score_group, healthy, unhealthy)
                 values ('{tenant}', '{cluster}', 'security_configurations', 0, 1),
                    ('{tenant}', '{cluster}', 'network_access', 1, 0);
                 insert into assessments (tenant_id, unit_id, assessed_at) values ('{tenant}', '{cluster}', now());"
            ));
        }
        sql.push(format!(
            "insert into resources (tenant_id, resource_id, unit_id, native_id, kind, name, name_lower, cloud, managed_by,
                active, config, hash, connector_id, scope, first_seen, changed_at)
             values ('{tenant}', '{image}', '{cluster}', 'image://{digest}', 'image.running', '{name}-one-image',
                '{name}-one-image', 'aws', 'customer', true, '{{}}', 'x', '{connector}', 'x', now(), now());
             insert into edges (tenant_id, kind, from_id, to_id, unit_id, to_native)
             values ('{tenant}', 'runs_image', '{resource}', '{image}', '{cluster}', 'image://{digest}');
             insert into resource_sources (tenant_id, resource_id, fix_unit_id, source_type, source_name, deliverer,
                instance, instance_namespace, part, version)
             values ('{tenant}', '{resource}', '{fix_unit}', 'helm_chart', '{name}-one-chart', 'helm', 'web', 'shop', 'web',
                    '1.2.3'),
                ('{tenant}', '{other_resource}', gen_random_uuid(), 'manifest', 'Deployment {name}-two-Web', null, null,
                    null, 'web', null);"
        ));
        self.db.run(&sql.concat()).await;
    }
}
