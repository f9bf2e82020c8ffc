//! Incidents that could not be recorded, as checks.
//!
//! Here: what is kept of a sensor's Event about its own pod, and the rows. Not here: requests (`super`), what a note
//! says (`bailiff-sensor`).
//! Invariant: only Events in Bailiff's namespace count, where tenants can write none; what they report is Failed for
//! [`PERIOD`], whatever came after it.

use super::checks::{Check, CheckStatus, check, limited, unknown};
use bailiff_api::{event, keys};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;
use std::collections::BTreeMap;

const NAME: &str = "incidents-not-recorded";
/// Age up to which an Event is reported. The API server keeps an Event for as long (`--event-ttl`).
const PERIOD: SignedDuration = SignedDuration::from_hours(1);

/// What a sensor could not record. Text is not escaped yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotRecorded {
    /// Name of the sensor's pod.
    sensor: String,
    note: String,
    time: Timestamp,
}

impl NotRecorded {
    /// Extracts what is reported; `None` if the Event is none of a sensor about its pod.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let regarding = event.regarding.as_ref()?;
        let is_of_sensor = event.reporting_controller.as_deref() == Some(keys::REPORTING_SENSOR)
            && event.reason.as_deref() == Some(event::INCIDENTS_NOT_RECORDED)
            && regarding.kind.as_deref() == Some("Pod");
        if !is_of_sensor {
            return None;
        }
        Some(Self {
            sensor: regarding.name.clone()?,
            note: event.note.clone().unwrap_or_default(),
            time: event.event_time.as_ref()?.0,
        })
    }
}

/// A row for each sensor that reported within the last hour.
pub(super) fn not_recorded(
    events: &Result<Vec<NotRecorded>, String>,
    now: Timestamp,
) -> Vec<Check> {
    let events = match events {
        Ok(events) => events,
        Err(cause) => return vec![unknown(NAME, cause)],
    };
    let mut last: BTreeMap<&str, &NotRecorded> = BTreeMap::new();
    for event in events {
        // An Event from the future is a recent one: the clocks differ.
        if now.duration_since(event.time) < PERIOD {
            let entry = last.entry(&event.sensor).or_insert(event);
            if event.time > entry.time {
                *entry = event;
            }
        }
    }
    let rows = last.values().map(|event| {
        check(
            format!("{NAME}/{}", event.sensor),
            CheckStatus::Failed,
            &event.note,
        )
    });
    limited(NAME, "sensors", rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn reported(change: impl FnOnce(&mut Value)) -> Option<NotRecorded> {
        let mut event = json!({
            "metadata": {"name": "e", "namespace": "bailiff-system"},
            "eventTime": "2026-01-01T23:10:00.000000Z",
            "type": "Warning",
            "reason": "IncidentsNotRecorded",
            "note": "Bailiff could not record 1 Incident.",
            "reportingController": "bailiff.dev/sensor",
            "regarding": {"kind": "Pod", "name": "bailiff-sensor-x", "namespace": "bailiff-system"},
        });
        change(&mut event);
        NotRecorded::of(&from_value(event).unwrap())
    }

    fn at(sensor: &str, time: &str, note: &str) -> NotRecorded {
        reported(|event| {
            event["regarding"]["name"] = json!(sensor);
            event["eventTime"] = json!(time);
            event["note"] = json!(note);
        })
        .unwrap()
    }

    fn lines(events: &Result<Vec<NotRecorded>, String>) -> Vec<String> {
        let now = "2026-01-02T00:00:00Z".parse().unwrap();
        let line = |c: Check| format!("{} | {} | {}", c.name, c.status.as_str(), c.message);
        not_recorded(events, now).into_iter().map(line).collect()
    }

    #[test]
    fn the_last_report_of_a_sensor_fails_for_an_hour() {
        assert_eq!(lines(&Ok(Vec::new())), [""; 0]);
        let events = vec![
            at("a", "2026-01-01T23:10:00.000000Z", "One."),
            at("a", "2026-01-01T23:12:00.000000Z", "Three."),
            at("a", "2026-01-01T23:11:00.000000Z", "Two."),
            at("b", "2026-01-01T22:59:59.000000Z", "Old."),
            at("c", "2026-01-02T00:01:00.000000Z", "\u{1b}[2K."),
        ];
        assert_eq!(
            lines(&Ok(events)),
            [
                "incidents-not-recorded/a | Failed | Three.",
                r"incidents-not-recorded/c | Failed | \u{1b}[2K.",
            ]
        );
    }

    #[test]
    fn many_sensors_have_a_bounded_number_of_rows() {
        let time = "2026-01-01T23:10:00.000000Z";
        let events = (10..25).map(|n| at(&format!("s{n}"), time, "N.")).collect();
        let lines = lines(&Ok(events));
        assert_eq!(
            (lines.len(), lines.last().unwrap().as_str()),
            (
                11,
                "incidents-not-recorded | Failed | 5 more sensors have the same status."
            )
        );
    }

    #[test]
    fn reports_that_cannot_be_read_do_not_pass_and_events_of_others_do_not_count() {
        assert_eq!(
            lines(&Err("forbidden".to_owned())),
            ["incidents-not-recorded | Unknown | The check cannot run. forbidden"]
        );
        assert!(reported(|_| ()).is_some());
        for (field, value) in [
            ("/reportingController", "bailiff.dev/controller"),
            ("/reason", "NodeNotMonitored"),
            ("/regarding/kind", "Node"),
        ] {
            let change = |event: &mut Value| *event.pointer_mut(field).unwrap() = json!(value);
            assert_eq!(reported(change), None, "{field}");
        }
    }
}
