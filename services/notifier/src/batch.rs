use std::collections::HashSet;

use rampart_store::webhook::{Event, EventType};

/// Bytes of what one delivery tells, at most; one event alone is always less.
const MOST_BYTES: usize = 256 << 10;

/// The events of one delivery: of one type, at most `most`, the oldest first. None overtakes an earlier event of its subject.
/// A scan comes alone.
pub(crate) fn choose(window: &[Event], most: usize) -> Vec<&Event> {
    let Some(first) = window.first() else { return Vec::new() };
    let most = if first.event == EventType::ScanFinished { 1 } else { most.max(1) };
    let (mut chosen, mut bytes) = (Vec::new(), 0);
    let mut left: HashSet<&str> = HashSet::new();
    for event in window {
        if event.event != first.event || left.contains(event.subject.as_str()) {
            left.insert(&event.subject);
            continue;
        }
        bytes += event.data.to_string().len();
        if chosen.len() == most || (bytes > MOST_BYTES && !chosen.is_empty()) {
            break;
        }
        chosen.push(event);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use EventType::{FindingChanged as Changed, FindingOpened as Opened, FindingResolved as Resolved, ScanFinished};

    #[track_caller]
    fn check(events: &[(EventType, &str)], most: usize, expected: &[i64]) {
        let window: Vec<Event> = (1..)
            .zip(events)
            .map(|(id, (event, subject))| Event {
                id,
                at: DateTime::UNIX_EPOCH,
                event: *event,
                subject: (*subject).to_owned(),
                data: json!({}),
            })
            .collect();
        let chosen: Vec<i64> = choose(&window, most).iter().map(|event| event.id).collect();
        assert_eq!(chosen, expected);
    }

    #[test]
    fn a_delivery_tells_one_type_and_no_event_overtakes_one_of_its_finding() {
        check(&[], 10, &[]);
        check(&[(Opened, "a"), (Opened, "b"), (Opened, "c")], 2, &[1, 2]);
        check(&[(Opened, "a"), (Resolved, "b"), (Opened, "c"), (Changed, "a")], 10, &[1, 3]);
        check(&[(Opened, "a"), (Resolved, "a"), (Opened, "a"), (Opened, "b")], 10, &[1, 4]);
        check(&[(ScanFinished, "s"), (ScanFinished, "t")], 10, &[1]);
    }

    #[test]
    fn a_delivery_is_bounded_in_bytes_and_never_empty() {
        let event = |id| Event {
            id,
            at: DateTime::UNIX_EPOCH,
            event: Opened,
            subject: id.to_string(),
            data: json!("x".repeat(200 << 10)),
        };
        assert_eq!(choose(&[event(1), event(2)], 10).len(), 1);
    }
}
