//! Whoever is recognised and may not be let in: what operators set with the real program, and what a daemon makes of it.

use std::fs;

use facewarden::domain::{EventKind, Reason};
use rustix::process::Signal;

use super::super::support::{Ran, eventually};
use super::rig::{Rig, text};
use super::{AGAIN_AND_AGAIN, barack};

fn persons(rig: &Rig, args: &[&str]) -> Ran {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_facewarden"));
    Ran::of(command.arg("persons").args(args).args(["--gallery", text(&rig.enrolled())]))
}

#[test]
fn whoever_is_expired_is_rejected_until_that_is_changed() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    rig.enrol_barack();
    persons(&rig, &["set", "Barack", "--valid-until", "2020-01-01"]).code(0);
    let hook = rig.script("hook", "env > \"$(dirname \"$0\")/$FACEWARDEN_EVENT_TYPE\"");
    let more = format!(
        "gallery: {{ reload_every_ms: 100 }}\nevents: {{ hooks: [{{ argv: [\"{}\"], only: {{ kinds: [match.rejected, match.verified] }} }}] \
         }}\ndebug: {{ record: true, folder: \"{}\" }}",
        text(&hook),
        text(&rig.path("debug")),
    );
    let mut daemon = rig.watch(&more);
    let seen = daemon.wait_for("match.rejected", 0);
    let expired = daemon.events()[seen - 1].clone();
    let EventKind::Rejected { person, reason, detail } = &expired.kind else { panic!() };
    assert_eq!((person.as_ref(), *reason), (Some(&barack()), Reason::Expired));
    assert!(detail.similarity.unwrap().value() >= detail.threshold.unwrap().value());
    assert!(!daemon.kinds().contains(&"match.verified"));
    let told = |kind: &str| {
        let told = || fs::read_to_string(rig.path(kind)).unwrap_or_default();
        eventually("the hook", || told().contains("FACEWARDEN_LIVENESS_MODE="));
        told()
    };
    let rejected = told("match.rejected");
    assert!(rejected.contains("FACEWARDEN_REASON=expired\n"), "{rejected}");
    assert!(rejected.contains("FACEWARDEN_RESEMBLES=Barack\n"), "{rejected}");
    assert!(!rejected.contains("FACEWARDEN_PERSON") && !rejected.contains("DISPLAY_NAME"), "{rejected}");

    // While it runs, and without a restart.
    persons(&rig, &["set", "Barack", "--clear", "valid-until", "--display-name", "Mr. President"]).code(0);
    let seen = daemon.wait_for("person.changed", seen);
    let seen = daemon.wait_for("match.verified", seen);
    let detail = daemon.events()[seen - 1].kind.detail().unwrap().clone();
    assert_eq!(detail.display_name.as_deref(), Some("Mr. President"));
    let verified = told("match.verified");
    assert!(verified.contains("FACEWARDEN_PERSON=Barack\n"), "{verified}");
    assert!(verified.contains("FACEWARDEN_DISPLAY_NAME=Mr. President\n"), "{verified}");

    // The settings of the site, by a reload.
    let config = rig.path("facewarden.yaml");
    let with_rules = fs::read_to_string(&config).unwrap() + "people: { require_consent: true }\n";
    fs::write(&config, with_rules).unwrap();
    daemon.send(Signal::HUP);
    let seen = daemon.wait_for("match.rejected", seen);
    let EventKind::Rejected { reason, .. } = &daemon.events()[seen - 1].kind else { panic!() };
    assert_eq!(*reason, Reason::NoConsent);
    persons(&rig, &["set", "Barack", "--consent-by", "Barack", "--consent-for", "door access"]).code(0);
    let seen = daemon.wait_for("person.changed", seen);
    daemon.wait_for("match.verified", seen);
    assert_eq!(daemon.end_by(Signal::TERM).0.code(), Some(0));

    // A recorded decision is decided again by what is known now, at the time of the recording.
    let bundle = rig.path("debug").join(expired.id.to_string());
    let replay = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_facewarden"));
        Ran::of(command.args(["replay", text(&bundle)]).args(["--gallery", text(&rig.enrolled())]))
    };
    let changed = replay().code(1);
    assert!(changed.out.contains("when its people may be let in, has changed since"), "{}", changed.out);
    persons(&rig, &["set", "Barack", "--clear", "consent", "--valid-until", "2020-01-01"]).code(0);
    let same = replay().code(0);
    assert!(same.out.contains("expired") && !same.out.contains("note:"), "{}", same.out);
}

#[test]
fn what_is_known_of_people_is_shown_in_words_and_in_json() {
    let rig = Rig::new(&[]);
    rig.enrol_somebody("Ann");
    rig.enrol_somebody("Bert");
    let settings = rig.path("site.yaml");
    fs::write(
        &settings,
        "schema: 1\ncameras: [{ id: door, source: /dev/video0 }]\npeople: { time_zone: Europe/Berlin }\n",
    )
    .unwrap();
    let set = |args: &[&str]| persons(&rig, &[&["set", "--config", text(&settings)], args].concat());
    let said = set(&[
        "Ann",
        "--display-name",
        "Dr. Ann",
        "--external-id",
        "4711",
        "--notes",
        "night\nporter",
        "--valid-from",
        "2026-01-01",
        "--valid-until",
        "2999-12-31",
        "--schedule",
        "mon-sun 00:00-24:00",
        "--holiday",
        "2026-12-25",
        "--consent-by",
        "Ann",
        "--consent-for",
        "door access",
        "--consent-given",
        "2026-01-01T12:00",
    ])
    .code(0);
    let lines = "\
  display   Dr. Ann
  external  4711
  valid     from 2026-01-01T00:00:00+01:00 until 3000-01-01T00:00:00+01:00
  schedule  Mon-Sun 00:00-24:00 (Europe/Berlin)
  holidays  2026-12-25
  consent   by Ann for door access, given 2026-01-01T12:00:00+01:00
  notes     night
            porter
";
    assert!(said.out.contains(lines), "{}", said.out);
    let shown = persons(&rig, &["show", "Ann", "--config", text(&settings)]).code(0);
    assert!(shown.out.contains(lines), "{}", shown.out);
    let json = persons(&rig, &["show", "Ann", "--json"]).code(0).json();
    assert_eq!(json["particulars"]["admission"]["valid_until"], "2999-12-31T23:00:00.000Z");
    assert_eq!(json["particulars"]["admission"]["schedule"]["time_zone"], "Europe/Berlin");
    let again = set(&["Ann", "--external-id", "4711"]).code(0);
    assert!(again.out.contains("nothing changed"), "{}", again.out);

    set(&["Bert", "--valid-until", "2026-01-01"]).code(0);
    let list = persons(&rig, &["list"]).code(0).out;
    assert!(list.contains("LET IN NOW") && list.contains("no: expired"), "{list}");
    let over = persons(&rig, &["list", "--expired", "--json"]).code(0).json();
    assert_eq!(over["persons"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&over["persons"][0]["name"], &over["persons"][0]["barred"]),
        (&"Bert".into(), &"expired".into())
    );
    let shown = persons(&rig, &["show", "Bert"]).code(0).out;
    assert!(shown.contains("now       not let in: what was granted to them is over"), "{shown}");
    set(&["Bert", "--clear", "valid-until"]).code(0);
    let nobody = persons(&rig, &["list", "--expired"]).code(0);
    assert_eq!(nobody.out, "nobody's time is over\n");
    assert!(persons(&rig, &["show", "Bert", "--json"]).code(0).json()["barred"].is_null());

    // Wrong use changes nothing.
    assert!(set(&["Bert"]).code(64).err.contains("say what to change"));
    assert!(set(&["Bert", "--valid-until", "soon"]).code(64).err.contains("is no time"));
    assert!(set(&["Nobody", "--notes", "x"]).code(66).err.contains("nobody is enrolled"));
    let json = persons(&rig, &["show", "Bert", "--json"]).code(0).json();
    assert_eq!(json["particulars"], serde_json::json!({}));
}
