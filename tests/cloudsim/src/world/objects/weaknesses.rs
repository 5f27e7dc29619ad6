use serde_json::{Value, json};

/// A deployment with one weakness and the controls that must say so.
pub(crate) struct Weakness {
    pub(crate) name: &'static str,
    pub(crate) controls: &'static [&'static str],
    pub(crate) change: fn(&mut Value),
}

fn container(spec: &mut Value) -> &mut Value {
    &mut spec["containers"][0]
}

fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        absent => *absent = json!([item]),
    }
}

fn remove(object: &mut Value, field: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove(field);
    }
}

fn add_capability(spec: &mut Value, name: &str) {
    let context = &mut container(spec)["securityContext"];
    push(&mut context["capabilities"]["add"], json!(name));
}

fn host_path(spec: &mut Value, path: &str) {
    push(&mut spec["volumes"], json!({ "name": "host", "hostPath": { "path": path, "type": "" } }));
    push(&mut container(spec)["volumeMounts"], json!({ "name": "host", "mountPath": "/host" }));
}

/// Every weak deployment.
pub(crate) const WEAKNESSES: &[Weakness] = &[
    Weakness {
        name: "node-tuner",
        controls: &["k8s.pod.privileged"],
        change: |spec| {
            container(spec)["securityContext"]["privileged"] = json!(true);
            container(spec)["securityContext"]["allowPrivilegeEscalation"] = json!(true);
        },
    },
    Weakness {
        name: "sudo-helper",
        controls: &["k8s.pod.allow_privilege_escalation"],
        change: |spec| container(spec)["securityContext"]["allowPrivilegeEscalation"] = json!(true),
    },
    Weakness {
        name: "legacy-batch",
        controls: &["k8s.pod.run_as_root"],
        change: |spec| {
            spec["securityContext"]["runAsUser"] = json!(0);
            spec["securityContext"]["runAsNonRoot"] = json!(false);
            container(spec)["securityContext"]["runAsNonRoot"] = json!(false);
        },
    },
    Weakness {
        name: "scratch-writer",
        controls: &["k8s.pod.readonly_rootfs"],
        change: |spec| container(spec)["securityContext"]["readOnlyRootFilesystem"] = json!(false),
    },
    Weakness { name: "process-viewer", controls: &["k8s.pod.host_pid"], change: |spec| spec["hostPID"] = json!(true) },
    Weakness { name: "shm-bridge", controls: &["k8s.pod.host_ipc"], change: |spec| spec["hostIPC"] = json!(true) },
    Weakness {
        name: "packet-relay",
        controls: &["k8s.pod.host_network"],
        change: |spec| {
            spec["hostNetwork"] = json!(true);
            for port in container(spec)["ports"].as_array_mut().into_iter().flatten() {
                port["hostPort"] = port["containerPort"].clone();
            }
        },
    },
    Weakness {
        name: "edge-listener",
        controls: &["k8s.pod.host_port"],
        change: |spec| container(spec)["ports"][0]["hostPort"] = json!(8080),
    },
    Weakness {
        name: "log-archiver",
        controls: &["k8s.pod.host_path", "k8s.pod.host_path_writable", "k8s.pod.volume_types"],
        change: |spec| host_path(spec, "/var/log"),
    },
    Weakness {
        name: "image-builder",
        controls: &["k8s.pod.runtime_socket", "k8s.pod.host_path"],
        change: |spec| host_path(spec, "/run/containerd/containerd.sock"),
    },
    Weakness {
        name: "volume-fixer",
        controls: &["k8s.pod.capability_sys_admin", "k8s.pod.capabilities_added"],
        change: |spec| {
            add_capability(spec, "SYS_ADMIN");
            container(spec)["securityContext"]["allowPrivilegeEscalation"] = json!(true);
        },
    },
    Weakness {
        name: "ping-monitor",
        controls: &["k8s.pod.capability_net_raw", "k8s.pod.capabilities_added"],
        change: |spec| add_capability(spec, "NET_RAW"),
    },
    Weakness {
        name: "driver-loader",
        controls: &["k8s.pod.capability_sys_module", "k8s.pod.capabilities_added"],
        change: |spec| add_capability(spec, "SYS_MODULE"),
    },
    Weakness {
        name: "keeps-caps",
        controls: &["k8s.pod.capabilities_drop_all"],
        change: |spec| remove(&mut container(spec)["securityContext"], "capabilities"),
    },
    Weakness {
        name: "free-syscalls",
        controls: &["k8s.pod.seccomp"],
        change: |spec| remove(&mut spec["securityContext"], "seccompProfile"),
    },
    Weakness {
        name: "no-armor",
        controls: &["k8s.pod.apparmor"],
        change: |spec| spec["securityContext"]["appArmorProfile"] = json!({ "type": "Unconfined" }),
    },
    Weakness {
        name: "relabeler",
        controls: &["k8s.pod.selinux"],
        change: |spec| spec["securityContext"]["seLinuxOptions"] = json!({ "type": "spc_t" }),
    },
    Weakness {
        name: "kernel-knobs",
        controls: &["k8s.pod.sysctls"],
        change: |spec| spec["securityContext"]["sysctls"] = json!([{ "name": "kernel.msgmax", "value": "65536" }]),
    },
    Weakness {
        name: "cpu-hog",
        controls: &["k8s.pod.cpu_limit"],
        change: |spec| remove(&mut container(spec)["resources"]["limits"], "cpu"),
    },
    Weakness {
        name: "memory-hog",
        controls: &["k8s.pod.memory_limit"],
        change: |spec| remove(&mut container(spec)["resources"]["limits"], "memory"),
    },
    Weakness {
        name: "best-effort",
        controls: &["k8s.pod.cpu_request", "k8s.pod.memory_request"],
        change: |spec| container(spec)["resources"] = json!({}),
    },
    Weakness {
        name: "never-checked",
        controls: &["k8s.pod.liveness_probe"],
        change: |spec| remove(container(spec), "livenessProbe"),
    },
    Weakness {
        name: "never-ready",
        controls: &["k8s.pod.readiness_probe"],
        change: |spec| remove(container(spec), "readinessProbe"),
    },
    Weakness {
        name: "floating-tag",
        controls: &["k8s.pod.image_tag_latest", "k8s.pod.image_digest_pinned"],
        change: |spec| container(spec)["image"] = json!("docker.io/library/nginx:latest"),
    },
    Weakness {
        name: "unpinned",
        controls: &["k8s.pod.image_digest_pinned"],
        change: |spec| container(spec)["image"] = json!("docker.io/library/nginx:1.27.3"),
    },
    Weakness {
        name: "cached-image",
        controls: &["k8s.pod.image_pull_always"],
        change: |spec| container(spec)["imagePullPolicy"] = json!("IfNotPresent"),
    },
    Weakness {
        name: "token-holder",
        controls: &["k8s.pod.sa_token_automount"],
        change: |spec| spec["automountServiceAccountToken"] = json!(true),
    },
    Weakness {
        name: "nobody-in-particular",
        controls: &["k8s.pod.default_service_account", "k8s.pod.sa_token_automount"],
        change: |spec| {
            remove(spec, "automountServiceAccountToken");
            spec["serviceAccountName"] = json!("default");
            spec["serviceAccount"] = json!("default");
        },
    },
    Weakness {
        name: "env-secrets",
        controls: &["k8s.pod.secret_env"],
        change: |spec| {
            push(
                &mut container(spec)["env"],
                json!({ "name": "API_KEY", "valueFrom": { "secretKeyRef": { "name": "partner", "key": "api-key" } } }),
            );
        },
    },
    Weakness {
        name: "plain-password",
        controls: &["k8s.pod.credentials_in_env"],
        change: |spec| {
            push(
                &mut container(spec)["env"],
                json!({ "name": "DB_PASSWORD", "value": "correct-horse-battery-staple" }),
            );
        },
    },
    Weakness {
        name: "hosts-editor",
        controls: &["k8s.pod.etc_hosts_alias"],
        change: |spec| spec["hostAliases"] = json!([{ "ip": "10.9.8.7", "hostnames": ["registry.internal"] }]),
    },
];
