use ulid::Ulid;

use super::*;
use crate::domain::{
    CameraId, ChallengeFault, PauseCause, PersonId, Prompt, QualityFault, Reason, ResumeCause, SCHEMA,
    Similarity, Threshold, TrackId, ViewFault,
};

fn at(text: &str) -> WallTime {
    WallTime(format!("2026-11-23T{text}Z").parse().unwrap())
}

fn event(kind: EventKind) -> Event {
    Event { schema: SCHEMA, id: Ulid::from_parts(1_795_461_923_378, 7), at: at("19:25:23.378"), kind }
}

fn similarity(value: f32) -> Option<Similarity> {
    Some(Similarity::new(value).unwrap())
}

fn look(before_ms: u64, alike: f32, agrees: bool) -> LookDetail {
    LookDetail {
        seq: 7,
        before_ms,
        similarity: similarity(alike),
        agrees,
        quality: 0.81,
        liveness: Some(0.925),
    }
}

fn detail() -> MatchDetail {
    MatchDetail {
        camera: CameraId::new("door").unwrap(),
        track: TrackId(3),
        display_name: None,
        groups: Vec::new(),
        captured_at: at("19:25:23.341"),
        decided_at: at("19:25:23.378"),
        similarity: similarity(0.75),
        second: similarity(0.31),
        threshold: Some(Threshold::new(0.412).unwrap()),
        target: Some(Target { false_match_rate: 1e-4, people: 3, extrapolated: false }),
        observations: 3,
        agreeing: 3,
        liveness: Some(0.93),
        liveness_mode: "enforce".to_owned(),
        challenge: None,
        faults: Vec::new(),
        looks: vec![look(400, 0.712, true), look(200, 0.74, true), look(0, 0.76, true)],
        model: "315356c8".to_owned(),
    }
}

fn ada() -> PersonId {
    PersonId::new("Ada Lovelace").unwrap()
}

fn check(kind: EventKind, now: &str, expected: &str) {
    assert_eq!(explain(&event(kind), at(now)), expected);
}

#[test]
fn somebody_verified() {
    let verified = || EventKind::Verified {
        person: ada(),
        expires_at: at("19:25:25.341"),
        expired: false,
        detail: detail(),
    };
    let expected = "\
01M84XXGHJ0000000000000007  match.verified
Ada Lovelace was verified: the looks together are alike enough, and nothing spoke against it.

  camera      door, track 3
  picture     2026-11-23T19:25:23.341Z, the newest that it rests on
  decided     2026-11-23T19:25:23.378Z, 37 ms later
  looks       3 good ones over 400 ms; all of them most like the same person
  similarity  0.750, 0.338 above what was needed
  threshold   0.412, so that at most one in 10,000 strangers' visits is granted, with 3 people enrolled
  second best 0.310, 0.440 behind
  liveness    0.93 (0 is a picture of a face, 1 a face), enforced
  grant       good until 2026-11-23T19:25:25.341Z, for 1.3 s from now
  model       315356c8

      before  similarity  agrees  quality  liveness
      400 ms       0.712     yes     0.81      0.93
      200 ms       0.740     yes     0.81      0.93
        0 ms       0.760     yes     0.81      0.93
";
    check(verified(), "19:25:24", expected);
    let expired = expected.replace(
        "good until 2026-11-23T19:25:25.341Z, for 1.3 s from now",
        "was good until 2026-11-23T19:25:25.341Z; expired 0 ms ago",
    );
    check(verified(), "19:25:25.341", &expired);
    let later = expired.replace("expired 0 ms ago", "expired 34 min ago");
    check(verified(), "20:00:00", &later);
}

#[test]
fn somebody_recognised_who_may_not_be_let_in() {
    let rejected = |reason| {
        let event = event(EventKind::Rejected { person: Some(ada()), reason, detail: detail() });
        explain(&event, at("19:25:24")).lines().nth(1).unwrap().to_owned()
    };
    assert_eq!(
        rejected(Reason::Expired),
        "Ada Lovelace was recognised, and not let in: what was granted to them is over."
    );
    assert_eq!(
        rejected(Reason::OffSchedule),
        "Ada Lovelace was recognised, and not let in: it was outside the hours of their schedule."
    );
}

#[test]
fn somebody_rejected() {
    let detail = MatchDetail {
        second: None,
        target: None,
        similarity: similarity(0.4),
        observations: 12,
        agreeing: 11,
        liveness: None,
        liveness_mode: "challenge".to_owned(),
        challenge: Some(ChallengeFault::TooEarly),
        faults: vec![QualityFault::Blurred, QualityFault::ImplausibleLandmarks],
        looks: vec![LookDetail { similarity: None, liveness: None, ..look(1500, 0.0, false) }],
        decided_at: at("19:25:30.341"),
        ..detail()
    };
    let expected = "\
01M84XXGHJ0000000000000007  match.rejected
Somebody who resembles Ada Lovelace was not let in: the challenge was not followed.

  camera      door, track 3
  picture     2026-11-23T19:25:23.341Z, the newest that it rests on
  decided     2026-11-23T19:25:30.341Z, 7.0 s later
  looks       12 good ones, the newest 1 over 0 ms; 11 of them most like the same person
  similarity  0.400, 0.012 below what was needed
  threshold   0.412, set by hand, as `decision.min_similarity`
  liveness    not judged, enforced, together with a challenge
  challenge   failed: the answer began before anybody could have reacted
  passed over pictures that were blurred: hold still
              pictures that were no face by its points: uncover the face
  model       315356c8

      before  similarity  agrees  quality  liveness
       1.5 s           -      no     0.81         -
";
    let rejected =
        |person| EventKind::Rejected { person, reason: Reason::ChallengeFailed, detail: detail.clone() };
    check(rejected(Some(ada())), "20:00:00", expected);
    let nobody = expected.replace("Somebody who resembles Ada Lovelace was", "Somebody was");
    check(rejected(None), "20:00:00", &nobody);
}

#[test]
fn somebody_unknown() {
    let detail = MatchDetail {
        similarity: None,
        second: None,
        threshold: None,
        target: None,
        observations: 0,
        agreeing: 0,
        liveness: None,
        liveness_mode: "off".to_owned(),
        looks: Vec::new(),
        faults: vec![QualityFault::TooDark],
        ..detail()
    };
    let expected = "\
01M84XXGHJ0000000000000007  match.unknown
Somebody was there and was not recognised: no picture of the face was good enough.

  camera      door, track 3
  picture     2026-11-23T19:25:23.341Z, the newest that it rests on
  decided     2026-11-23T19:25:23.378Z, 37 ms later
  looks       none that was good enough
  similarity  not compared with anybody
  liveness    not judged: it is off
  passed over pictures that were too dark: more light on the face is needed
  model       315356c8
";
    check(EventKind::Unknown { reason: Reason::PoorQuality, detail }, "20:00:00", expected);
}

#[test]
fn a_shadow_grants_nothing_and_a_threshold_may_be_drawn_on() {
    let target = Some(Target { false_match_rate: 1e-6, people: 1, extrapolated: true });
    let detail = MatchDetail { target, liveness_mode: "report".to_owned(), ..detail() };
    let text = explain(&event(EventKind::Shadow { person: ada(), detail }), at("20:00:00"));
    assert!(text.contains("Ada Lovelace would have been verified. Nothing was granted"), "{text}");
    assert!(
        text.contains("one in 1,000,000 strangers' visits is granted, with 1 person enrolled; drawn on"),
        "{text}"
    );
    assert!(text.contains("only reported: it decided nothing"), "{text}");
    assert!(!text.contains("grant  "), "{text}");
}

#[test]
fn what_is_no_decision_is_a_sentence() {
    let camera = CameraId::new("door").unwrap();
    let until = at("19:25:26");
    let told = "\n  told        2026-11-23T19:25:23.378Z\n";
    let check = |kind: EventKind, now: &str, sentence: &str| {
        let expected = format!("01M84XXGHJ0000000000000007  {}\n{sentence}\n{told}", kind.name());
        check(kind, now, &expected);
    };
    check(
        EventKind::Challenge {
            camera: camera.clone(),
            track: TrackId(3),
            step: 1,
            of: 3,
            prompt: Prompt::ComeCloser,
            text: "come closer".to_owned(),
            until,
        },
        "20:00:00",
        "The face of track 3 at camera door was asked to do something, by 2026-11-23T19:25:26.000Z: come closer (prompt \
         1 of 3).",
    );
    let locked_out = || EventKind::LockedOut { camera: camera.clone(), until };
    let text = |is| {
        format!(
            "Liveness had failed too often at camera door: nobody {is} verified there until 2026-11-23T19:25:26.000Z."
        )
    };
    check(locked_out(), "19:25:25", &text("is"));
    check(locked_out(), "19:25:26", &text("was"));
    check(
        EventKind::CameraLost { camera: camera.clone(), message: "unplugged".to_owned() },
        "20:00:00",
        "The camera door gave no frames any more: unplugged. It is opened again until it is back.",
    );
    check(
        EventKind::CameraRecovered { camera: camera.clone() },
        "20:00:00",
        "The camera door gave frames again.",
    );
    let view = |fault, refuses| EventKind::view_fault(camera.clone(), fault, refuses, "text".to_owned());
    check(
        view(ViewFault::Frozen, true),
        "20:00:00",
        "The camera door gave the same picture again and again. Nobody was verified while that lasted.",
    );
    check(
        view(ViewFault::Blinded, true),
        "20:00:00",
        "The camera door was blinded by a light. Nobody was verified while that lasted.",
    );
    check(
        view(ViewFault::Moved, false),
        "20:00:00",
        "The camera door showed another place than before. By the settings it was only told.",
    );
    let over = ViewFault::Covered;
    check(
        EventKind::CameraClear { camera: camera.clone(), over, message: "somebody wiped it".to_owned() },
        "20:00:00",
        "The camera door was covered no more: somebody wiped it.",
    );
    let paused =
        |why, until| EventKind::CameraPaused { camera: camera.clone(), why, by: "ada".to_owned(), until };
    check(
        paused(PauseCause::Asked, Some(until)),
        "20:00:00",
        "The camera door was closed for ada: nobody was looked at there until 2026-11-23T19:25:26.000Z, unless somebody \
         resumed it before.",
    );
    check(
        paused(PauseCause::Asked, None),
        "20:00:00",
        "The camera door was closed for ada: nobody was looked at there until somebody resumed it.",
    );
    check(
        paused(PauseCause::Enrolment, Some(until)),
        "20:00:00",
        "At the camera door ada began to enrol somebody: nobody was verified there meanwhile.",
    );
    check(
        paused(PauseCause::LivenessTest, Some(until)),
        "20:00:00",
        "At the camera door ada began a liveness self-test: nobody was verified there meanwhile.",
    );
    for (why, by, text) in [
        (ResumeCause::Asked, Some("ada".to_owned()), "ada asked for it"),
        (ResumeCause::TimeIsOver, None, "the time of the pause was over"),
        (ResumeCause::EnrolmentEnded, None, "nobody was being enrolled any more"),
        (ResumeCause::TestEnded, None, "the liveness self-test had ended"),
    ] {
        let text = format!("The camera door watched again: {text}.");
        check(EventKind::CameraResumed { camera: camera.clone(), why, by }, "20:00:00", &text);
    }
    check(
        EventKind::CameraSnapshot { camera: camera.clone(), by: "ada".to_owned() },
        "20:00:00",
        "ada asked for a picture of what the camera door saw.",
    );
    check(
        EventKind::Degraded { message: "x keeps failing".to_owned() },
        "20:00:00",
        "Something did not work, and the daemon went on without it: x keeps failing.",
    );
    check(
        EventKind::Started { version: "0.1.0".to_owned(), people: 1 },
        "20:00:00",
        "The daemon began to watch: Facewarden 0.1.0, 1 person enrolled.",
    );
    check(EventKind::Stopping { message: "SIGTERM".to_owned() }, "20:00:00", "The daemon ended: SIGTERM.");
}
