//! The recorded and the replayed decision, side by side. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::bundles::Manifest;
use crate::domain::{Event, EventKind, MatchDetail, PersonId, Reason, Rect, TrackId};

/// Two boxes of one frame show one face from this overlap on: the detector is the same, and so are nearly all boxes.
const SAME_FACE_IOU: f32 = 0.5;

/// Where the tracks were on one frame of the replay.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) seq: u64,
    pub(super) faces: Vec<(TrackId, Rect)>,
}

/// The track of the replay that follows the face that the recorded decision is about: the one that is in its place on
/// the most frames. `None` if none ever is.
pub(super) fn same_track(manifest: &Manifest, followed: &[Followed]) -> Option<TrackId> {
    let wanted = manifest.event.kind.detail()?.track;
    let places: BTreeMap<u64, Rect> = manifest
        .frames
        .iter()
        .flat_map(|frame| frame.faces.iter().map(move |face| (frame.seq, face)))
        .filter(|(_, face)| face.track == wanted)
        .map(|(seq, face)| (seq, face.box_in_frame))
        .collect();
    let mut frames_of: BTreeMap<TrackId, usize> = BTreeMap::new();
    for frame in followed {
        let Some(place) = places.get(&frame.seq) else { continue };
        for (track, face) in &frame.faces {
            if face.iou(*place) >= SAME_FACE_IOU {
                *frames_of.entry(*track).or_default() += 1;
            }
        }
    }
    // The first of several that are level.
    frames_of.into_iter().rev().max_by_key(|(_, frames)| *frames).map(|(track, _)| track)
}

/// Both decisions.
pub(super) struct Comparison<'a> {
    pub(super) recorded: &'a Event,
    /// `None` if nothing was decided about that face.
    pub(super) replayed: Option<&'a Event>,
    /// What is to be known about the comparison.
    pub(super) notes: Vec<String>,
}

/// Who a decision is about, and why it was not a grant.
type Verdict<'a> = (&'static str, Option<&'a PersonId>, Option<Reason>);

fn verdict(kind: &EventKind) -> Verdict<'_> {
    let (person, reason) = match kind {
        EventKind::Verified { person, .. } | EventKind::Shadow { person, .. } => (Some(person), None),
        EventKind::Unknown { reason, .. } => (None, Some(*reason)),
        EventKind::Rejected { person, reason, .. } => (person.as_ref(), Some(*reason)),
        _ => (None, None),
    };
    (kind.name(), person, reason)
}

impl Comparison<'_> {
    /// True if the verdicts are the same: kind, person and reason. Where a challenge was failed, which is not put again,
    /// it is enough that the face is like the same person.
    pub(super) fn is_same(&self) -> bool {
        let Some(replayed) = self.replayed else { return false };
        let (recorded, replayed) = (verdict(&self.recorded.kind), verdict(&replayed.kind));
        match recorded {
            (_, person @ Some(_), Some(Reason::ChallengeFailed)) => replayed.1 == person,
            _ => recorded == replayed,
        }
    }

    fn conclusion(&self) -> &'static str {
        match (self.replayed, self.is_same()) {
            (None, _) => "nothing was decided about this face in the replay",
            (Some(replayed), true) if verdict(&self.recorded.kind) != verdict(&replayed.kind) => {
                "the face is like the same person; more cannot be compared without the challenge"
            }
            (Some(_), true) => "the verdict is the same",
            (Some(_), false) => "the verdict is another one",
        }
    }

    /// For people; ends with a line break.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.recorded.id);
        let mut row = |label: &str, recorded: &str, replayed: &str| {
            // Writing to a string cannot fail.
            let _infallible =
                writeln!(text, "{}", format!("  {label:<12}{recorded:<26}{replayed}").trim_end());
        };
        row("", "recorded", "replayed");
        let none = || "-".to_owned();
        let both = |show: &dyn Fn(&EventKind) -> String| {
            (show(&self.recorded.kind), self.replayed.map_or_else(none, |event| show(&event.kind)))
        };
        let detail = |show: fn(&MatchDetail) -> Option<String>| {
            both(&move |kind: &EventKind| kind.detail().and_then(show).unwrap_or_else(none))
        };
        for (label, (recorded, replayed)) in [
            ("verdict", both(&|kind| kind.name().to_owned())),
            ("person", both(&|kind| verdict(kind).1.map_or_else(none, ToString::to_string))),
            ("reason", both(&|kind| verdict(kind).2.map_or_else(none, name))),
            ("similarity", detail(|detail| detail.similarity.map(|similarity| similarity.to_string()))),
            ("threshold", detail(|detail| detail.threshold.map(|threshold| threshold.to_string()))),
            ("second best", detail(|detail| detail.second.map(|second| second.to_string()))),
            ("liveness", detail(|detail| detail.liveness.map(|liveness| format!("{liveness:.2}")))),
            ("looks", detail(|detail| Some(format!("{}, {} agree", detail.observations, detail.agreeing)))),
        ] {
            row(label, &recorded, &replayed);
        }
        text.push('\n');
        for note in &self.notes {
            text.push_str(&format!("note: {note}\n"));
        }
        text.push_str(self.conclusion());
        text.push('\n');
        text
    }

    /// For programs: one object, ends with a line break.
    pub(super) fn json(&self) -> String {
        let value: Value = json!({
            "same": self.is_same(),
            "recorded": self.recorded,
            "replayed": self.replayed,
            "notes": self.notes,
        });
        format!("{value}\n")
    }
}

/// The reason as events have it.
fn name(reason: Reason) -> String {
    serde_json::to_value(reason).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(fields: &str) -> Event {
        let text = format!(
            r#"{{"schema":1,"id":"01M84XQ0000000000000000002","at":"2026-11-23T19:25:23.378Z",{fields},"camera":"door",
            "track":1,"captured_at":"2026-11-23T19:25:23.341Z","decided_at":"2026-11-23T19:25:23.378Z","similarity":0.75,
            "threshold":0.412,"observations":3,"agreeing":2,"liveness_mode":"off","model":"31"}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn verified(person: &str) -> Event {
        event(&format!(
            r#""type":"match.verified","person":"{person}","expires_at":"2026-11-23T19:25:25.341Z""#
        ))
    }

    fn rejected(reason: &str) -> Event {
        event(&format!(r#""type":"match.rejected","person":"Ann","reason":"{reason}""#))
    }

    fn is_same(recorded: &Event, replayed: Option<&Event>) -> bool {
        Comparison { recorded, replayed, notes: Vec::new() }.is_same()
    }

    #[test]
    fn kind_person_and_reason_make_a_verdict() {
        let ann = verified("Ann");
        assert!(is_same(&ann, Some(&verified("Ann"))));
        for other in [Some(&verified("Bert")), Some(&rejected("not_live")), None] {
            assert!(!is_same(&ann, other), "{other:?}");
        }
        assert!(!is_same(&rejected("ambiguous"), Some(&rejected("not_live"))));
        let failed = rejected("challenge_failed");
        let beside = Comparison { recorded: &failed, replayed: Some(&ann), notes: Vec::new() };
        assert!(beside.is_same() && beside.text().ends_with("cannot be compared without the challenge\n"));
        assert!(!is_same(&rejected("challenge_failed"), Some(&verified("Bert"))));
    }

    #[test]
    fn both_are_shown_side_by_side() {
        let (recorded, replayed) = (verified("Ann"), rejected("not_live"));
        let notes = vec!["the gallery has changed since".to_owned()];
        let comparison = Comparison { recorded: &recorded, replayed: Some(&replayed), notes };
        let expected = "\
01M84XQ0000000000000000002

              recorded                  replayed
  verdict     match.verified            match.rejected
  person      Ann                       Ann
  reason      -                         not_live
  similarity  0.750                     0.750
  threshold   0.412                     0.412
  second best -                         -
  liveness    -                         -
  looks       3, 2 agree                3, 2 agree

note: the gallery has changed since
the verdict is another one
";
        assert_eq!(comparison.text(), expected);
        let json: Value = serde_json::from_str(&comparison.json()).unwrap();
        assert_eq!((&json["same"], &json["replayed"]["reason"]), (&json!(false), &json!("not_live")));
    }
}
