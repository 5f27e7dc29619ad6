use axum::http::{Method, StatusCode};
use chrono::{Days, Utc};
use rampart_domain::ClusterId;
use rampart_store::{AccessScope, Role};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{TestApi, World, start};

fn exemption(name: &str, condition: &Value) -> Value {
    json!({"name": name, "category": "waiver", "reason": "accepted", "controls": ["k8s.pod.privileged"], "where": condition})
}

/// What an assessment would make of the finding of the first cluster.
async fn exempt(api: &TestApi, world: &World, exemption: &str) {
    api.db
        .run(&format!(
            "update findings set status = 'exempt', exemption_id = '{exemption}' where resource_id = '{resource}';
             insert into exemption_uses (tenant_id, unit_id, exemption_id, matched_at)
             values ('{tenant}', '{cluster}', '{exemption}', now());
             update verdict_counts set unhealthy = 0, exempt = 1 where unit_id = '{cluster}' and ordinal = 0;
             update score_counts set unhealthy = 0, exempt = 1
             where unit_id = '{cluster}' and score_group = 'security_configurations';",
            resource = world.resource,
            tenant = world.tenant,
            cluster = world.cluster,
        ))
        .await;
}

#[tokio::test]
async fn an_exemption_is_made_changed_and_removed_by_version() {
    let api = start().await;
    let world = api.world("alpha").await;
    let ends = Utc::now() + Days::new(60);
    let mut body =
        exemption("shop", &json!({"any_of": [{"namespace": "shop"}, {"labels": {"matchLabels": {"a": "b"}}}]}));
    body["approved_by"] = json!("ciso@example.com");
    body["expires_at"] = json!(ends);
    let made = api.post("/v1/exemptions", &world.owner, body.clone()).await.expect(StatusCode::CREATED);
    let place = made.headers["location"].to_str().unwrap().to_owned();
    let seen = api.get(&place, &world.owner).await.expect(StatusCode::OK).json();
    for field in ["name", "category", "reason", "approved_by", "controls", "where"] {
        assert_eq!(seen[field], body[field], "{field}");
    }
    assert_eq!((&seen["status"], &seen["findings"]), (&json!("unused"), &json!(0)), "{seen}");
    let again = api.post("/v1/exemptions", &world.owner, body.clone()).await.expect(StatusCode::CONFLICT);
    assert_eq!(again.code(), "already_exists");

    body["controls"] = Value::Null;
    body["initiative"] = json!("pss-baseline");
    let put = async |version: &str, body: Value| {
        api.call(Method::PUT, &place, &world.owner, &[("if-match", version)], Some(body)).await
    };
    assert_eq!(put("\"7\"", body.clone()).await.code(), "version_mismatch");
    let changed = put("\"1\"", body).await.expect(StatusCode::OK).json();
    assert_eq!((&changed["initiative"], &changed["controls"]), (&json!("pss-baseline"), &Value::Null));
    api.call(Method::DELETE, &place, &world.owner, &[], None).await.expect(StatusCode::NO_CONTENT);
    api.get(&place, &world.owner).await.expect(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_by_its_place() {
    let api = start().await;
    let world = api.world("alpha").await;
    let with = |field: &str, value: Value| {
        let mut body = exemption("x", &json!({}));
        body[field] = value;
        body
    };
    for (body, field) in [
        (with("colour", json!("red")), "/colour"),
        (with("name", json!("a b")), "/name"),
        (with("reason", json!(" ")), "/reason"),
        (with("expires_at", json!("2020-01-01T00:00:00Z")), "/expires_at"),
        (with("controls", json!(["k8s.pod.nothing"])), "/controls/0"),
        (with("controls", json!([])), "/controls"),
        (with("initiative", json!("pss-baseline")), "/controls"),
        (with("controls", Value::Null), "/controls"),
        (with("where", json!({"any_of": [{"cluster": world.cluster, "colour": "red"}]})), "/where/any_of/0/colour"),
        (with("where", json!({"labels": {"app": "web"}})), "/where/labels/app"),
        (with("where", Value::Null), "/where"),
    ] {
        for path in ["/v1/exemptions", "/v1/exemptions/preview"] {
            let mut body = body.clone();
            if path.ends_with("preview") {
                body.as_object_mut()
                    .unwrap()
                    .retain(|key, _| ["controls", "initiative", "where", "colour"].contains(&&**key));
                if ["/name", "/reason", "/expires_at"].contains(&field) {
                    continue;
                }
            }
            let answered = api.post(path, &world.owner, body).await.expect(StatusCode::UNPROCESSABLE_ENTITY);
            assert_eq!(answered.json()["errors"][0]["field"], field, "{path}: {}", answered.text);
        }
    }
    let mut everywhere = exemption("x", &json!({}));
    everywhere.as_object_mut().unwrap().remove("where");
    let refused = api.post("/v1/exemptions", &world.owner, everywhere).await.expect(StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("missing field `where`"), "the whole tenant is said, never meant: {}", refused.text);
    let unknown = json!({"control": "k8s.pod.host_port", "reason": "r", "scope": {"type": "tenant"}, "colour": "red"});
    let answered =
        api.post("/v1/disabled-controls", &world.owner, unknown).await.expect(StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answered.json()["errors"][0]["field"], "/colour");
}

#[tokio::test]
async fn an_exemption_lies_within_the_scope_of_who_makes_it() {
    let api = start().await;
    let world = api.world("alpha").await;
    let scope = AccessScope::Namespace(ClusterId(world.cluster), "shop".into());
    let namespace = api.token(world.tenant, Role::SecurityAdmin, scope).await;
    let account = api.token(world.tenant, Role::SecurityAdmin, AccessScope::Account("111111111111".into())).await;
    let cluster = world.cluster;
    let (made, beyond, unseen) = (StatusCode::CREATED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND);
    for (condition, by_namespace, by_account) in [
        (json!({}), beyond, beyond),
        (json!({"cluster": cluster}), beyond, made),
        (json!({"cluster": cluster, "namespace": "shop"}), made, made),
        (json!({"cluster": cluster, "namespace": "sh*"}), beyond, made),
        (json!({"all_of": [{"cluster": cluster}, {"namespace": "shop"}], "name": "web"}), made, made),
        (json!({"namespace": "shop"}), beyond, beyond),
        (json!({"resource": world.resource}), made, made),
        (json!({"resource": world.other_resource}), unseen, unseen),
        (json!({"resource": Uuid::new_v4()}), unseen, unseen),
        (json!({"account": "111111111111", "namespace": "shop"}), beyond, made),
        (
            json!({"any_of": [{"cluster": cluster, "namespace": "shop"}, {"cluster": world.other_cluster}]}),
            unseen,
            unseen,
        ),
    ] {
        for (who, token, expected) in [("namespace", &namespace, by_namespace), ("account", &account, by_account)] {
            let body = exemption(&format!("x-{}", Uuid::new_v4().simple()), &condition);
            let answered = api.post("/v1/exemptions", token, body).await;
            assert_eq!(answered.status, expected, "{condition} by {who}: {}", answered.text);
        }
    }
    let other = exemption("other", &json!({"cluster": world.other_cluster}));
    let other = api.post("/v1/exemptions", &world.owner, other).await.expect(StatusCode::CREATED).json();
    let place = format!("/v1/exemptions/{}", other["id"].as_str().unwrap());
    api.get(&place, &account).await.expect(StatusCode::NOT_FOUND);
    let whole = exemption("whole", &json!({}));
    let whole = api.post("/v1/exemptions", &world.owner, whole).await.expect(StatusCode::CREATED).json();
    let place = format!("/v1/exemptions/{}", whole["id"].as_str().unwrap());
    api.get(&place, &namespace).await.expect(StatusCode::OK);
    api.call(Method::DELETE, &place, &namespace, &[], None).await.expect(StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_preview_tells_what_would_be_hidden_and_whose() {
    let api = start().await;
    let world = api.world("alpha").await;
    let preview = async |condition: Value, token: &str| {
        let body = json!({"controls": ["k8s.pod.*"], "where": condition});
        api.post("/v1/exemptions/preview", token, body).await.expect(StatusCode::OK).json()
    };
    let all = preview(json!({"labels": {"matchLabels": {"app": "web"}}}), &world.owner).await;
    assert_eq!((&all["findings"], &all["resources"], &all["partly"]), (&json!(2), &json!(2), &json!(0)), "{all}");
    assert_eq!(all["by_control"][0]["control_id"], "k8s.pod.privileged");
    assert_eq!(all["by_place"].as_array().unwrap().len(), 2, "{all}");
    assert_eq!(all["sample"].as_array().unwrap().len(), 2, "{all}");
    let one = preview(json!({"account": "111111111111"}), &world.owner).await;
    assert_eq!(one["sample"][0]["resource_id"], world.resource.to_string(), "{one}");
    let scoped = api.scoped(&world, Role::SecurityAdmin, world.cluster).await;
    let seen = preview(json!({"cluster": world.cluster}), &scoped).await;
    assert_eq!(seen["findings"], 1);
    let element = json!({"element": "container one"});
    assert_eq!(preview(element.clone(), &world.owner).await["findings"], 0, "the object violates as a whole");
    let two = r#"update findings set evidence = evidence || '{"elements": ["container one", "container two"]}'"#;
    api.db.run(two).await;
    let partly = preview(element, &world.owner).await;
    assert_eq!((&partly["findings"], &partly["partly"]), (&json!(0), &json!(2)), "{partly}");
    assert_eq!(preview(json!({"element": "container *"}), &world.owner).await["findings"], 2);
}

#[tokio::test]
async fn what_is_exempt_stays_visible() {
    let api = start().await;
    let world = api.world("alpha").await;
    let made = api.post("/v1/exemptions", &world.owner, exemption("shop", &json!({"cluster": world.cluster}))).await;
    let id = made.expect(StatusCode::CREATED).json()["id"].as_str().unwrap().to_owned();
    exempt(&api, &world, &id).await;
    let seen = api.get(&format!("/v1/exemptions/{id}"), &world.owner).await.json();
    assert_eq!(
        (&seen["status"], &seen["findings"], &seen["resources"]),
        (&json!("active"), &json!(1), &json!(1)),
        "{seen}"
    );
    assert!(seen["last_matched_at"].is_string());
    let elsewhere = api.scoped(&world, Role::SecurityReader, world.other_cluster).await;
    let names = async |query: &str, token: &str| {
        let list = api.get(&format!("/v1/exemptions?limit=9{query}"), token).await.expect(StatusCode::OK).json();
        list["items"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("", &world.owner).await, ["alpha-exemption", "shop"]);
    assert_eq!(names("&unused=true", &world.owner).await, ["alpha-exemption"]);
    assert_eq!(names("&control=k8s.pod.privileged", &world.owner).await, ["shop"]);
    assert!(names("&category=mitigated", &world.owner).await.is_empty());
    assert!(names("&expiring_within_days=30", &world.owner).await.is_empty());
    assert!(names("", &elsewhere).await.is_empty());
    api.db
        .run(&format!("update exemptions set expires_at = now() + interval '9 days' where exemption_id = '{id}'"))
        .await;
    assert_eq!(names("&expiring_within_days=10", &world.owner).await, ["shop"]);
    assert_eq!(api.get(&format!("/v1/exemptions/{id}"), &world.owner).await.json()["status"], "expiring");

    let findings = api.get(&format!("/v1/findings?limit=9&exemption={id}"), &world.owner).await.json();
    assert_eq!(findings["items"][0]["exemption"], json!({"id": id, "name": "shop"}), "{findings}");
    assert_eq!(findings["items"][0]["status"], "exempt");
    let namespace = AccessScope::Namespace(ClusterId(world.cluster), "shop".into());
    let namespace = api.token(world.tenant, Role::SecurityReader, namespace).await;
    let cluster = api.scoped(&world, Role::SecurityReader, world.cluster).await;
    for (who, token) in [("cluster", &cluster), ("namespace", &namespace)] {
        let told = api.get("/v1/recommendations/k8s.pod.privileged", token).await.json();
        assert_eq!((&told["affected"], &told["exempt"]), (&json!(0), &json!(1)), "{who}: {told}");
        let score = api.get("/v1/secure-score", token).await.json();
        let group = score["groups"].as_array().unwrap().iter().find(|group| group["id"] == "security_configurations");
        let group = group.unwrap_or_else(|| panic!("{who}: {score}"));
        assert_eq!((&group["unhealthy"], &group["exempt"], &group["max"]), (&json!(0), &json!(1), &json!(0)), "{who}");
        assert_eq!(score["percent"], 100.0, "{who}: what is exempt costs nothing");
    }
    let framework = api.get("/v1/compliance/cis-eks-1.8.0", &cluster).await.expect(StatusCode::OK).json();
    let requirements = framework["requirements"].as_array().unwrap().iter();
    let controls = requirements.flat_map(|requirement| requirement["controls"].as_array().unwrap());
    let privileged: Vec<&Value> = controls.filter(|control| control["control_id"] == "k8s.pod.privileged").collect();
    assert_eq!((&privileged[0]["unhealthy"], &privileged[0]["exempt"]), (&json!(0), &json!(1)), "{framework}");
    let list = api.get("/v1/recommendations/k8s.pod.privileged/not-applicable?limit=9", &cluster).await.json();
    assert_eq!(list["items"][0]["cause"]["exemption"]["name"], "shop", "{list}");
}

#[tokio::test]
async fn what_a_control_says_nothing_about_is_listed_with_the_cause() {
    let api = start().await;
    let world = api.world("alpha").await;
    let control = rampart_content::Catalogue::embedded().unwrap();
    let several = |control: &&rampart_content::Control| {
        control.variant(rampart_domain::Kind::K8sDeployment).is_some_and(|variant| variant.not_applicable.len() > 1)
    };
    let control = control.controls().find(several).expect("some control names several causes").clone();
    let causes = &control.variant(rampart_domain::Kind::K8sDeployment).unwrap().not_applicable;
    api.db
        .run(&format!(
            "insert into checks (tenant_id, ordinal, control_id, params_hash, params)
             values ('{tenant}', 17, '{id}', 'x', '{{}}');
             update verdicts set not_applicable = '\\x000002';
             update verdicts set reasons = '{{\"17\": 1}}' where resource_id = '{other}';",
            tenant = world.tenant,
            id = control.id,
            other = world.other_resource,
        ))
        .await;
    let place = format!("/v1/recommendations/{}/not-applicable?limit=9", control.id);
    let list = api.get(&place, &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "{list}");
    for row in list["items"].as_array().unwrap() {
        let number = usize::from(row["resource_id"] == world.other_resource.to_string());
        assert_eq!(row["cause"], json!({"type": "not_applicable", "reason": causes[number].cause}));
    }
    let one = api.get(&format!("{place}&cluster={}", world.cluster), &world.owner).await.json();
    assert_eq!(one["items"].as_array().unwrap().len(), 1, "{one}");
    let scoped = api.scoped(&world, Role::SecurityReader, world.other_cluster).await;
    assert_eq!(api.get(&place, &scoped).await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_control_that_is_turned_off_says_so() {
    let api = start().await;
    let world = api.world("alpha").await;
    let body = json!({"control": "k8s.pod.*", "reason": "a test cluster",
        "scope": {"type": "cluster", "cluster_id": world.other_cluster}});
    let made = api.post("/v1/disabled-controls", &world.owner, body.clone()).await.expect(StatusCode::CREATED);
    let again = api.post("/v1/disabled-controls", &world.owner, body).await.expect(StatusCode::CONFLICT);
    assert_eq!(again.code(), "already_exists");
    let place = made.headers["location"].to_str().unwrap();
    let off = async |token: &str| {
        let control = api.get("/v1/controls/k8s.pod.host_port", token).await.expect(StatusCode::OK).json();
        control["disabled"].as_array().unwrap().iter().map(|row| row["control"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(off(&world.owner).await, ["k8s.pod.host_port", "k8s.pod.*"]);
    let scoped = api.scoped(&world, Role::SecurityAdmin, world.cluster).await;
    assert_eq!(off(&scoped).await, ["k8s.pod.host_port"]);
    api.call(Method::DELETE, place, &scoped, &[], None).await.expect(StatusCode::NOT_FOUND);
    api.call(Method::DELETE, place, &world.owner, &[], None).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(off(&world.owner).await, ["k8s.pod.host_port"]);
}
