//! The initiatives of the Pod Security Standards, judged at every version as Kubernetes' own admission judges.
mod judge;

use judge::Level::{Baseline, Restricted};
use judge::{Judge, OPEN, annotated, containers, contexts, spec};
use rampart_posture::{SelectionError, resolve};
use serde_json::{Value, json};

#[test]
fn the_smallest_pods_pass() {
    let judge = Judge::new();
    for level in [Baseline, Restricted] {
        judge.refused(level, 0, 0, &json!({}));
    }
    let windows = json!({"os": {"name": "windows"}, "securityContext": {"seccompProfile": null},
        "containers": {"app": {"securityContext": null}}, "initContainers": {"setup": {"securityContext": null}}});
    judge.refused(Restricted, 8, 25, &spec(&windows));
    judge.refused(Baseline, 0, 0, &spec(&windows));
}

#[test]
fn what_both_levels_refuse_at_every_version() {
    let judge = Judge::new();
    let mut changes = vec![
        spec(&json!({"hostNetwork": true})),
        spec(&json!({"hostPID": true})),
        spec(&json!({"hostIPC": true})),
        spec(&json!({"volumes": [{"name": "v", "hostPath": {"path": "/a"}}]})),
        spec(&json!({"securityContext": {"windowsOptions": {"hostProcess": true}}})),
        spec(&json!({"securityContext": {"seLinuxOptions": {"type": "spc_t"}}})),
        spec(&json!({"securityContext": {"seLinuxOptions": {"user": "system_u"}}})),
        spec(&json!({"securityContext": {"seLinuxOptions": {"role": "system_r"}}})),
        spec(&json!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}})),
        spec(&json!({"securityContext": {"sysctls": [{"name": "othersysctl", "value": "other"}]}})),
        annotated("container.apparmor.security.beta.kubernetes.io/app", "unconfined"),
        annotated("container.apparmor.security.beta.kubernetes.io/setup", "unconfined"),
    ];
    changes.extend(contexts(&json!({"privileged": true})));
    changes.extend(contexts(&json!({"windowsOptions": {"hostProcess": true}})));
    changes.extend(contexts(&json!({"seLinuxOptions": {"type": "spc_t"}})));
    changes.extend(contexts(&json!({"appArmorProfile": {"type": "Unconfined"}})));
    changes.extend(contexts(&json!({"capabilities": {"add": ["NET_RAW"]}})));
    changes.extend(contexts(&json!({"capabilities": {"add": ["chown"]}})));
    changes.extend(contexts(&json!({"procMount": "Unmasked"})));
    changes.extend(containers(&json!({"ports": [{"containerPort": 12346, "hostPort": 12346}]})));
    for (level, change) in [Baseline, Restricted].iter().flat_map(|level| changes.iter().map(move |it| (level, it))) {
        judge.refused(*level, 0, OPEN, change);
    }
}

#[test]
fn what_no_version_refuses() {
    let judge = Judge::new();
    let mut changes = vec![
        spec(&json!({"hostNetwork": false, "hostPID": false, "hostIPC": false})),
        spec(
            &json!({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "image": {"reference": "r"}}, {"name": "c"}]}),
        ),
        spec(&json!({"securityContext": {"windowsOptions": {}, "seLinuxOptions": {"level": "s0:c1,c2"}}})),
        spec(&json!({"securityContext": {"appArmorProfile": {"type": "Localhost", "localhostProfile": "p"}}})),
        spec(&json!({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "0"},
            {"name": "kernel.shm_rmid_forced", "value": "0"}, {"name": "net.ipv4.ping_group_range", "value": "1 0"},
            {"name": "net.ipv4.ip_unprivileged_port_start", "value": "1024"},
            {"name": "net.ipv4.ip_local_port_range", "value": "1024 65535"}]}})),
        annotated("container.apparmor.security.beta.kubernetes.io/app", "localhost/foo"),
        annotated("container.apparmor.security.beta.kubernetes.io/app", ""),
        annotated("container.seccomp.security.alpha.kubernetes.io/other", "unconfined"),
        annotated("seccomp.security.alpha.kubernetes.io/pod", "localhost/testing"),
    ];
    changes.extend(contexts(&json!({"privileged": false, "procMount": "Default", "windowsOptions": {}})));
    changes.extend(contexts(&json!({"seLinuxOptions": {"type": "container_init_t"}})));
    changes.extend(contexts(&json!({"capabilities": {"add": ["NET_BIND_SERVICE"]}})));
    changes.extend(containers(&json!({"ports": [{"containerPort": 12345, "hostPort": 0}]})));
    for (level, change) in [Baseline, Restricted].iter().flat_map(|level| changes.iter().map(move |it| (level, it))) {
        judge.refused(*level, 0, 0, change);
    }
}

#[test]
fn the_baseline_changes_with_its_version() {
    let judge = Judge::new();
    for level in [Baseline, Restricted] {
        let sysctl = |name: &str| spec(&json!({"securityContext": {"sysctls": [{"name": name, "value": "1"}]}}));
        judge.refused(level, 0, 27, &sysctl("net.ipv4.ip_local_reserved_ports"));
        for name in ["tcp_keepalive_time", "tcp_fin_timeout", "tcp_keepalive_intvl", "tcp_keepalive_probes"] {
            judge.refused(level, 0, 29, &sysctl(&format!("net.ipv4.{name}")));
        }
        judge.refused(level, 0, 32, &sysctl("net.ipv4.tcp_rmem"));
        judge.refused(level, 0, 32, &sysctl("net.ipv4.tcp_wmem"));
        for change in contexts(&json!({"seLinuxOptions": {"type": "container_engine_t"}})) {
            judge.refused(level, 0, 31, &change);
        }
        for key in ["seccomp.security.alpha.kubernetes.io/pod", "container.seccomp.security.alpha.kubernetes.io/app"] {
            judge.refused(level, 0, 19, &annotated(key, "unconfined"));
            judge.refused(level, 0, 19, &annotated(key, ""));
        }
        judge.refused(level, 0, 19, &annotated("container.seccomp.security.alpha.kubernetes.io/setup", "unconfined"));
        judge.refused(level, 19, OPEN, &spec(&json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}})));
        for change in contexts(&json!({"seccompProfile": {"type": "Unconfined"}})) {
            judge.refused(level, 19, OPEN, &change);
        }
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            for change in containers(&json!({probe: {"httpGet": {"host": "127.0.0.1", "port": 80}}})) {
                judge.refused(level, 34, OPEN, &change);
            }
            judge.refused(level, 34, OPEN, &containers(&json!({probe: {"tcpSocket": {"host": "::1", "port": 80}}}))[0]);
            judge.refused(level, 0, 0, &containers(&json!({probe: {"httpGet": {"host": "", "port": 80}}}))[0]);
        }
        for hook in ["postStart", "preStop"] {
            for action in ["httpGet", "tcpSocket"] {
                let change = json!({"lifecycle": {hook: {action: {"host": "bad.example", "port": 80}}}});
                judge.refused(level, 34, OPEN, &containers(&change)[1]);
            }
        }
    }
}

#[test]
fn the_restricted_profile_changes_with_its_version() {
    let judge = Judge::new();
    let refused = |from: u32, until: u32, change: &Value| judge.refused(Restricted, from, until, change);
    for change in contexts(&json!({"allowPrivilegeEscalation": true})) {
        refused(8, OPEN, &change);
    }
    for change in contexts(&json!({"allowPrivilegeEscalation": null})) {
        refused(8, OPEN, &change);
    }
    for change in contexts(&json!({"capabilities": {"drop": ["CHOWN"]}})) {
        refused(22, OPEN, &change);
    }
    for change in contexts(&json!({"capabilities": {"add": ["CHOWN"]}})) {
        refused(22, OPEN, &change);
    }
    refused(19, OPEN, &spec(&json!({"securityContext": {"seccompProfile": null}})));
    refused(
        19,
        OPEN,
        &spec(&json!({"securityContext": {"seccompProfile": null},
        "containers": {"app": {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}}})),
    );
    for change in contexts(&json!({"runAsNonRoot": false})) {
        refused(0, OPEN, &change);
    }
    refused(0, OPEN, &spec(&json!({"securityContext": {"runAsNonRoot": null}})));
    refused(0, OPEN, &spec(&json!({"securityContext": {"runAsNonRoot": false}})));
    refused(0, 35, &spec(&json!({"hostUsers": false, "securityContext": {"runAsNonRoot": false}})));
    refused(0, OPEN, &spec(&json!({"hostUsers": true, "securityContext": {"runAsNonRoot": null}})));
    refused(23, OPEN, &spec(&json!({"securityContext": {"runAsUser": 0}})));
    refused(23, 35, &spec(&json!({"hostUsers": false, "securityContext": {"runAsUser": 0}})));
    refused(0, 0, &spec(&json!({"securityContext": {"runAsUser": 1000}})));
    for change in contexts(&json!({"runAsUser": 0})) {
        refused(23, OPEN, &change);
    }
    for kind in ["gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "nfs", "iscsi", "flexVolume", "azureDisk"] {
        let change = spec(&json!({"volumes": [{"name": "v", kind: {}}]}));
        refused(0, OPEN, &change);
        judge.refused(Baseline, 0, 0, &change);
    }
}

#[test]
fn a_user_namespace_excuses_an_unmasked_proc_in_the_baseline_alone() {
    let judge = Judge::new();
    for change in contexts(&json!({"procMount": "Unmasked"})) {
        let mut change = change;
        change["spec"]["hostUsers"] = false.into();
        judge.refused(Baseline, 0, 35, &change);
        judge.refused(Restricted, 0, OPEN, &change);
        change["spec"]["hostUsers"] = true.into();
        judge.refused(Baseline, 0, OPEN, &change);
    }
}

#[test]
fn a_version_that_does_not_exist_is_refused_before_anything_is_judged() {
    let judge = Judge::new();
    let initiative = judge.catalogue.initiative("pss-baseline").unwrap();
    let error = |params: Value| resolve(&judge.catalogue, initiative, params.as_object().unwrap()).unwrap_err();
    let words = "parameter `version` of `pss-baseline` is not a Kubernetes version: latest, or v1.0 to v1.38";
    for version in [json!("v1.39"), json!("1.25"), json!(25)] {
        assert_eq!(error(json!({"pss-baseline": {"version": version}})).to_string(), words);
    }
    let unknown = error(json!({"pss-baseline": {"level": "x"}}));
    assert_eq!(unknown.to_string(), "`pss-baseline` has no parameter `level`");
    assert_eq!(error(json!({"pss-baseline": 1})), SelectionError::NotAnObject { control: "pss-baseline".into() });
    let other = error(json!({"pss-restricted": {}}));
    assert_eq!(other, SelectionError::UnknownControl { control: "pss-restricted".into() });
}

#[test]
fn what_is_said_of_a_control_outweighs_what_the_initiative_hands_on() {
    let judge = Judge::new();
    let initiative = judge.catalogue.initiative("pss-restricted").unwrap();
    let params = json!({"pss-restricted": {"version": "v1.7"}, "k8s.pod.seccomp": {"version": "v1.30"}});
    let selections = resolve(&judge.catalogue, initiative, params.as_object().unwrap()).unwrap();
    let version = |id: &str| &selections.iter().find(|selection| selection.control_id == id).unwrap().params["version"];
    assert_eq!(version("k8s.pod.seccomp"), "v1.30");
    assert_eq!(version("k8s.pod.run_as_root"), "v1.7");
    let selections = resolve(&judge.catalogue, initiative, &serde_json::Map::new()).unwrap();
    assert!(selections.iter().all(|selection| selection.params.get("version").is_none_or(|it| it == "latest")));
}
