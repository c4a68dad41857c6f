//! `liveness-test` on recordings, and what the daemon makes of its result.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use facewarden::domain::{EventKind, Reason};
use serde_json::Value;

use super::rig::Before::{Barack, Nobody};
use super::rig::{Rig, text};

/// Anything that has a face is live: what the model says of drawn clips is not what is tested here.
const EVERYTHING_PASSES: &str =
    "min_mean: 0.0, screen_edges: false, overexposure: false, min_looks: 3, min_span_ms: 200";

/// One and a half seconds of a face.
fn rig() -> Rig {
    Rig::new(&[Barack(15)])
}

/// A configuration that asks for a self-test, with these settings of liveness.
fn config(rig: &Rig, liveness: &str) -> PathBuf {
    let path = rig.path("door.yaml");
    let yaml = format!(
        "schema: 1\ncameras: [{{ id: door, source: \"{}\", fps: 10, speed: max }}]\ngallery: {{ folder: \"{}\" }}\n\
         liveness: {{ require_self_test: true, self_test_file: \"{}\", {liveness} }}\nevents: {{ log: \"-\" }}\n",
        rig.frames().display(),
        rig.enrolled().display(),
        rig.path("test.json").display(),
    );
    fs::write(&path, yaml).unwrap();
    path
}

/// Exit code, standard output and standard error.
fn test(config: &Path, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_facewarden"))
        .args(["liveness-test", "--config", text(config)])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), said(output.stdout), said(output.stderr))
}

/// Who is verified, turned away and why, and what is amiss.
fn watch(rig: &Rig, config: &Path) -> (usize, Vec<Reason>, Vec<String>) {
    let mut daemon = rig.start(&["run", "--config", text(config)]);
    assert_eq!(daemon.end().code(), Some(0), "{}", daemon.log());
    let (mut verified, mut rejected, mut degraded) = (0, Vec::new(), Vec::new());
    for event in daemon.events() {
        match event.kind {
            EventKind::Verified { .. } => verified += 1,
            EventKind::Rejected { reason, .. } => rejected.push(reason),
            EventKind::Degraded { message } => degraded.push(message),
            _ => (),
        }
    }
    (verified, rejected, degraded)
}

#[test]
fn nobody_is_verified_before_the_self_test_was_passed() {
    let rig = rig();
    rig.enrol_barack();
    let refused = |config: &Path, why: &str| {
        let (verified, rejected, degraded) = watch(&rig, config);
        assert_eq!((verified, rejected), (0, vec![Reason::NoSelfTest]), "{why}");
        let [message] = degraded.as_slice() else { panic!("{why}: {degraded:?}") };
        assert!(message.contains(why) && message.contains("facewarden liveness-test"), "{message}");
    };
    let door = config(&rig, &format!("{EVERYTHING_PASSES}, max_apcer: 1.0"));
    refused(&door, "there is no result");

    let (frames, phone) = (rig.frames(), format!("phone={}", rig.frames().display()));
    let frames = text(&frames);
    let recordings = ["--live", frames, frames, "--attack", &phone, "--attack", &phone];
    let not_enough = [&recordings[..], &["--json"]].concat();
    let (code, out, said) = test(&door, &not_enough);
    assert_eq!(code, 1, "two of each are not enough: {said}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["live"]["taken_for_live"], 2, "{out}");
    assert_eq!((&report["apcer"]["rate"], &report["bpcer"]["rate"]), (&1.0.into(), &0.0.into()), "{out}");
    assert_eq!(report["worst_kind"], "phone");
    assert_eq!(report["shortfalls"].as_array().unwrap().len(), 2, "{out}");
    refused(&door, "was not passed");

    let enough = [&recordings[..], &["--min-presentations", "2"]].concat();
    let (code, out, said) = test(&door, &enough);
    assert_eq!(code, 0, "{out}{said}");
    assert!(out.contains("APCER 100 % [15.8 %, 100 %]") && out.contains("\nPASSED\n"), "{out}");
    assert!(said.contains(&format!("live {frames}: taken for live")), "{said}");
    let kept = rig.path("test.json");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(watch(&rig, &door), (1, vec![], vec![]));

    // The same numbers under a tighter limit, and the same test with another setting.
    refused(&config(&rig, EVERYTHING_PASSES), "no longer suffices");
    let changed = EVERYTHING_PASSES.replace("min_looks: 3", "min_looks: 4");
    refused(&config(&rig, &format!("{changed}, max_apcer: 1.0")), "was changed");
    let door = config(&rig, &format!("{EVERYTHING_PASSES}, max_apcer: 1.0"));
    fs::write(&kept, fs::read_to_string(&kept).unwrap().replace("door", "d00r")).unwrap();
    refused(&door, "is damaged");
    let (code, _, said) = test(&door, &enough);
    assert!(code == 65 && said.contains("remove it and test again"), "{code} {said}");
}

#[test]
fn each_presentation_is_counted_once_and_those_without_a_face_apart() {
    let rig = rig();
    let empty = Rig::new(&[Nobody(6)]);
    let strict = config(&rig, "min_mean: 1.0, min_looks: 3, min_span_ms: 200, screen_edges: false");
    let (frames, nobody) = (rig.frames(), empty.frames());
    let attacks = [format!("print={}", text(&frames)), format!("print={}", text(&nobody))];
    let args = ["--live", text(&frames), text(&nobody), "--attack", &attacks[0], "--attack", &attacks[1]];
    let (code, out, said) = test(&strict, &[&args[..], &["--json", "--no-save"]].concat());
    assert_eq!(code, 1, "{said}");
    let report: Value = serde_json::from_str(&out).unwrap();
    for of in [&report["live"], &report["attacks"][0]] {
        let counts =
            ["taken_for_live", "taken_for_picture", "no_verdict"].map(|key| of[key].as_u64().unwrap());
        assert_eq!(counts, [0, 1, 1], "{out}");
    }
    assert_eq!((&report["apcer"]["rate"], &report["bpcer"]["rate"]), (&0.0.into(), &1.0.into()), "{out}");
    assert!(report["is_passed"] == false && report["saved_to"].is_null(), "{out}");
    assert!(said.contains("no face seen\n"), "{said}");
    assert!(!rig.path("test.json").exists());
}

#[test]
fn what_cannot_be_tested_is_said_at_once() {
    let rig = Rig::new(&[Nobody(1)]);
    let door = config(&rig, "mode: enforce");
    let (code, _, said) = test(&door, &[]);
    assert!(code == 64 && said.contains("no terminal"), "{code} {said}");
    let (code, _, said) = test(&door, &["--live", "/nowhere/a.avi"]);
    assert!(code == 66 && said.contains("/nowhere/a.avi"), "{code} {said}");
    assert_eq!(test(&rig.path("missing.yaml"), &["--live", "/nowhere"]).0, 66);
    let (code, _, said) = test(&door, &["--attack", "mask=/nowhere"]);
    assert!(code == 64 && said.contains("no kind of attack"), "{code} {said}");
    let edited = |name: &str, from: &str, to: &str| {
        let text = fs::read_to_string(&door).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(rig.path(name), text.replace(from, to)).unwrap();
        rig.path(name)
    };
    let nowhere = edited("nowhere.yaml", text(&rig.path("test.json")), "/nowhere/test.json");
    let (code, _, said) = test(&nowhere, &["--live", text(&rig.frames())]);
    assert!(code == 73 && said.contains("--no-save"), "{code} {said}");
    let off = config(&rig, "mode: off");
    fs::write(&off, fs::read_to_string(&off).unwrap().replace("require_self_test: true, ", "")).unwrap();
    let (code, _, said) = test(&off, &["--live", text(&rig.frames())]);
    assert!(code == 78 && said.contains("nothing to test"), "{code} {said}");
}
