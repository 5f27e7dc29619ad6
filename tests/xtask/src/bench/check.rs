use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use super::measure::LastSeen;

const MANIFESTS: usize = 1_400;
/// How often the checker is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// Lets `rampart check` judge a folder of manifests by every control.
pub(super) async fn measure(binary: &Path) -> anyhow::Result<()> {
    let dir = tempfile::Builder::new().prefix("rampart-bench").tempdir().context("no temporary directory")?;
    let manifests = dir.path().join("manifests");
    fs::create_dir(&manifests)?;
    for index in 0..MANIFESTS {
        fs::write(manifests.join(format!("{index:04}.yaml")), manifest(index))?;
    }
    let mut command = Command::new(binary);
    command.arg("check").arg(&manifests).args(["--control", "*", "-o", "json"]).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(File::create(dir.path().join("report.json"))?);
    let began = Instant::now();
    let mut checker = command.spawn().context("could not start the checker")?;
    let pid = i32::try_from(checker.id().context("the checker has ended")?)?;
    let mut seen = LastSeen::default();
    let status = loop {
        seen.look(pid);
        if let Some(status) = checker.try_wait().context("could not look at the checker")? {
            break status;
        }
        tokio::time::sleep(LOOK).await;
    };
    // 1: something failed, as it does here.
    ensure!(status.code() == Some(1), "the checker ended with {status}");
    let wall = began.elapsed().as_secs_f64();
    println!("check · {MANIFESTS} manifests by every control: wall {wall:.2} s · {seen} (goals 1 s, 100 MB)");
    Ok(())
}

/// One file as charts render them: three deployments to a service, an ingress, a role with its account, a config map.
fn manifest(index: usize) -> String {
    let name = format!("app-{index}");
    let labels = format!("app.kubernetes.io/name: {name}");
    let head = |api: &str, kind: &str| {
        format!(
            "apiVersion: {api}\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: team-{}\n  labels:\n    {labels}\n    \
             app.kubernetes.io/managed-by: Helm\n    helm.sh/chart: {name}-1.2.3\n",
            index % 20
        )
    };
    match index % 7 {
        0..=2 => format!(
            "{}spec:\n  replicas: 2\n  selector:\n    matchLabels:\n      {labels}\n  template:\n    metadata:\n      labels:\n        \
             {labels}\n    spec:\n      serviceAccountName: {name}\n      securityContext:\n        runAsNonRoot: true\n        \
             seccompProfile: {{type: RuntimeDefault}}\n      containers:\n{}      volumes:\n      - name: config\n        \
             configMap: {{name: {name}}}\n",
            head("apps/v1", "Deployment"),
            containers(index, &name),
        ),
        3 => format!(
            "{}spec:\n  selector:\n    {labels}\n  ports:\n  - name: http\n    port: 80\n    targetPort: http\n",
            head("v1", "Service")
        ),
        4 => format!(
            "{}spec:\n  ingressClassName: nginx\n  rules:\n  - host: {name}.example.com\n    http:\n      paths:\n      - path: /\n        \
             pathType: Prefix\n        backend: {{service: {{name: {name}, port: {{name: http}}}}}}\n  tls:\n  \
             - hosts: [{name}.example.com]\n    secretName: {name}-tls\n",
            head("networking.k8s.io/v1", "Ingress")
        ),
        5 => format!(
            "{}rules:\n- apiGroups: ['']\n  resources: [configmaps, pods]\n  verbs: [get, list, watch]\n---\n{}",
            head("rbac.authorization.k8s.io/v1", "Role"),
            head("v1", "ServiceAccount")
        ),
        _ => format!(
            "{}data:\n  app.yaml: |\n    server:\n      port: 8080\n      name: {name}\n",
            head("v1", "ConfigMap")
        ),
    }
}

/// Two containers, some of which may escalate or write.
fn containers(index: usize, name: &str) -> String {
    (0..2).fold(String::new(), |mut text, container| {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "      - name: c{container}
        image: registry.example.com/team/{name}:{}.{container}.1
        imagePullPolicy: IfNotPresent
        ports:
        - name: http
          containerPort: {}
          protocol: TCP
        env:
        - name: LOG_LEVEL
          value: info
        - name: DATABASE_URL
          valueFrom:
            secretKeyRef: {{name: {name}-db, key: url}}
        resources:
          limits: {{cpu: 500m, memory: 256Mi}}
          requests: {{cpu: 100m, memory: 128Mi}}
        livenessProbe:
          httpGet: {{path: /healthz, port: http}}
          periodSeconds: 10
        readinessProbe:
          httpGet: {{path: /ready, port: http}}
        securityContext:
          allowPrivilegeEscalation: {}
          readOnlyRootFilesystem: {}
          capabilities: {{drop: [ALL]}}
        volumeMounts:
        - name: config
          mountPath: /etc/app
          readOnly: true
",
            index % 9,
            8080 + container,
            !index.is_multiple_of(3),
            index.is_multiple_of(2),
        );
        text
    })
}
