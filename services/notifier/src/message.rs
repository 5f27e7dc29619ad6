//! How a message is written, in each format. Pure.

use chrono::{DateTime, Utc};
use rampart_store::webhook::{Event, EventType, Format};
use serde_json::{Map, Value, json};

/// Findings that a message of Slack names; of more it tells the number.
const NAMED: usize = 10;

/// The message of one delivery. A test has no events.
pub(crate) fn message(format: Format, event: EventType, events: &[&Event], now: DateTime<Utc>) -> String {
    match format {
        Format::Standard => standard(event, events, now),
        Format::Slack => slack(event, events),
        Format::Ticket => ticket(event, events),
    }
    .to_string()
}

fn standard(event: EventType, events: &[&Event], now: DateTime<Utc>) -> Value {
    let at = events.first().map_or(now, |event| event.at);
    let all: Vec<&Value> = events.iter().map(|event| &event.data).collect();
    let data = match event {
        EventType::ScanFinished => json!({ "scan": all.first() }),
        EventType::Test => json!({ "message": "This is a test." }),
        _ => json!({ "findings": all }),
    };
    json!({ "type": event.as_str(), "timestamp": at, "data": data })
}

fn text<'a>(data: &'a Value, field: &str) -> &'a str {
    data[field].as_str().unwrap_or_default()
}

/// What Slack takes for markup, taken literally.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Where a finding lies: cluster or account, namespace, name.
fn place(data: &Value) -> String {
    let first = ["cluster", "account"].into_iter().map(|field| text(data, field)).find(|text| !text.is_empty());
    let parts = [first.unwrap_or_default(), text(data, "namespace"), text(data, "resource_name")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

const fn verb(event: EventType) -> &'static str {
    match event {
        EventType::FindingOpened => "opened",
        EventType::FindingChanged => "changed",
        _ => "resolved",
    }
}

/// The worst first.
fn rank(data: &Value) -> usize {
    ["critical", "high", "medium", "low"].iter().position(|word| *word == text(data, "severity")).unwrap_or(4)
}

fn slack(event: EventType, events: &[&Event]) -> Value {
    let lines = match event {
        EventType::Test => return json!({ "text": "Rampart: this is a test." }),
        EventType::ScanFinished => {
            let scan = events.first().map_or(&Value::Null, |event| &event.data);
            let (connector, status, error) = (text(scan, "connector"), text(scan, "status"), text(scan, "error"));
            let why = if error.is_empty() { String::new() } else { format!(": {}", plain(error)) };
            return json!({ "text": format!("Scan of *{}* {status}{why}", plain(connector)) });
        }
        _ => {
            let mut findings: Vec<&Value> = events.iter().map(|event| &event.data).collect();
            findings.sort_by_key(|data| rank(data));
            let mut lines: Vec<String> = findings.iter().take(NAMED).map(|data| slack_line(data)).collect();
            if let Some(more @ 1..) = findings.len().checked_sub(NAMED) {
                lines.push(format!("… and {more} more"));
            }
            lines
        }
    };
    let noun = if events.len() == 1 { "finding" } else { "findings" };
    let head = format!("{} {noun} {}", events.len(), verb(event));
    let section = json!({ "type": "section", "text": { "type": "mrkdwn", "text": lines.join("\n") } });
    let header = json!({ "type": "header", "text": { "type": "plain_text", "text": head } });
    json!({ "text": head, "blocks": [header, section] })
}

/// At most 280 characters or so: ten of them fit into a section of Slack.
fn slack_line(data: &Value) -> String {
    let cut = |text: String| text.chars().take(120).collect::<String>();
    let (message, place) = (cut(text(data, "message").to_owned()), cut(place(data)));
    format!("*{}* `{}` {}: {}", text(data, "severity"), text(data, "control_id"), plain(&place), plain(&message))
}

fn ticket(event: EventType, events: &[&Event]) -> Value {
    let tickets: Vec<Value> = match event {
        EventType::Test => vec![json!({
            "external_id": "rampart:test", "action": "test", "title": "Rampart: this is a test", "description": "",
            "priority": "lowest", "labels": ["rampart"], "fields": {},
        })],
        EventType::ScanFinished => events.iter().map(|event| scan_ticket(&event.data)).collect(),
        _ => events.iter().map(|it| finding_ticket(event, &it.data)).collect(),
    };
    json!({ "source": "rampart", "type": event.as_str(), "tickets": tickets })
}

fn finding_ticket(event: EventType, data: &Value) -> Value {
    let action = match event {
        EventType::FindingOpened => "open",
        EventType::FindingChanged => "update",
        _ => "close",
    };
    let severity = text(data, "severity");
    let priority = match severity {
        "critical" => "highest",
        "high" => "high",
        "medium" => "medium",
        "low" => "low",
        _ => "lowest",
    };
    let place = place(data);
    let where_to = if place.is_empty() { text(data, "resource_id") } else { &place };
    let fields: Map<String, Value> = data.as_object().cloned().unwrap_or_default();
    json!({
        "external_id": format!("rampart:{}", text(data, "id")), "action": action,
        "title": format!("{}: {where_to}", text(data, "control_id")),
        "description": format!("{}\n\nStatus: {} (was {}), because of: {}", text(data, "message"), text(data, "status"),
            data["previous_status"].as_str().unwrap_or("none"), text(data, "cause")),
        "priority": priority, "labels": ["rampart", severity, text(data, "control_id")], "fields": fields,
    })
}

fn scan_ticket(data: &Value) -> Value {
    let well = text(data, "status") == "succeeded";
    json!({
        // One ticket of a connector: it is closed by the next scan that reads everything.
        "external_id": format!("rampart:scan:{}", text(data, "connector_id")), "action": if well { "close" } else { "open" },
        "title": format!("Scan of {} {}", text(data, "connector"), text(data, "status")),
        "description": text(data, "error"), "priority": if well { "lowest" } else { "medium" },
        "labels": ["rampart", "scan"], "fields": data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(number: usize, severity: &str) -> Event {
        Event {
            id: 1,
            at: DateTime::UNIX_EPOCH,
            event: EventType::FindingOpened,
            subject: number.to_string(),
            data: json!({ "id": format!("r.{number}"), "control_id": "k8s.pod.privileged", "severity": severity,
                "status": "unhealthy", "previous_status": null, "cause": "resource", "cluster": "prod",
                "namespace": "shop", "resource_name": "web", "message": "<!channel> & container app is privileged" }),
        }
    }

    fn read(format: Format, event: EventType, events: &[Event]) -> Value {
        let events: Vec<&Event> = events.iter().collect();
        serde_json::from_str(&message(format, event, &events, DateTime::UNIX_EPOCH)).unwrap()
    }

    #[test]
    fn the_standard_message_has_type_time_and_data() {
        let told = read(Format::Standard, EventType::FindingOpened, &[finding(1, "high"), finding(2, "low")]);
        assert_eq!((&told["type"], &told["timestamp"]), (&json!("finding.opened"), &json!("1970-01-01T00:00:00Z")));
        assert_eq!(told["data"]["findings"][1]["id"], "r.2");
        assert!(read(Format::Standard, EventType::Test, &[])["data"]["message"].is_string());
    }

    #[test]
    fn a_message_of_slack_names_the_worst_and_obeys_no_markup_of_others() {
        let mut many: Vec<Event> = (0..30).map(|n| finding(n, "low")).collect();
        many.push(finding(99, "critical"));
        let told = read(Format::Slack, EventType::FindingOpened, &many);
        assert_eq!(told["text"], "31 findings opened");
        let text = told["blocks"][1]["text"]["text"].as_str().unwrap();
        assert!(
            text.starts_with("*critical* `k8s.pod.privileged` prod/shop/web: &lt;!channel&gt; &amp; container"),
            "{text}"
        );
        assert!(text.ends_with("… and 21 more") && text.len() < 3_000, "{text}");
    }

    #[test]
    fn a_ticket_is_opened_and_closed_under_one_id() {
        let open = read(Format::Ticket, EventType::FindingOpened, &[finding(1, "critical")]);
        let close = read(Format::Ticket, EventType::FindingResolved, &[finding(1, "critical")]);
        let (open, close) = (&open["tickets"][0], &close["tickets"][0]);
        assert_eq!((&open["action"], &close["action"]), (&json!("open"), &json!("close")));
        assert_eq!(open["external_id"], close["external_id"]);
        assert_eq!(
            (&open["priority"], &open["title"]),
            (&json!("highest"), &json!("k8s.pod.privileged: prod/shop/web"))
        );
    }
}
