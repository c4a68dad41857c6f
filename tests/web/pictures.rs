//! Pictures that are sent: DeepFace's contract, asked as its own tests ask, and enrolment.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Answer, Served, bearer};
use crate::daemon::rig::{Before, Rig, text};
use crate::support::Ran;

const NOBODY: [Before; 1] = [Before::Nobody(3)];

fn file(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name)).unwrap()
}

fn base64(name: &str) -> String {
    STANDARD.encode(file(name))
}

fn uri(name: &str) -> String {
    format!("data:image/jpeg;base64,{}", base64(name))
}

/// A form: fields with a text, or with a file's name and bytes.
fn form(served: &Served, path: &str, fields: &[(&str, Option<&str>, &[u8])]) -> Answer {
    let boundary = "----between-7d4a6d158c9";
    let mut body = Vec::new();
    for (name, file_name, bytes) in fields {
        let file_name = file_name.map(|name| format!("; filename=\"{name}\"")).unwrap_or_default();
        let head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{file_name}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let request = Served::agent().post(served.url(path)).header("Authorization", bearer(&served.admin));
    let request = request.content_type(format!("multipart/form-data; boundary={boundary}"));
    Answer::of(request.send(&body[..]).unwrap())
}

#[test]
fn two_pictures_of_one_person_and_of_two() {
    let rig = Rig::new(&NOBODY);
    let served = Served::start(&rig, "", "");
    let same =
        served.post("/verify", &json!({ "img1": uri("obama.jpg"), "img2": base64("obama2.jpg") })).json(200);
    assert_eq!(same["verified"], true, "{same}");
    assert_eq!((&same["model"], &same["detector_backend"]), (&json!("faceplugin512"), &json!("centerface")));
    assert_eq!(same["similarity_metric"], "cosine");
    assert!(
        same["distance"].as_f64() <= same["threshold"].as_f64() && same["confidence"].as_f64() >= Some(51.0)
    );
    assert!(same["facial_areas"]["img2"]["w"].as_i64() > Some(20) && same["time"].as_f64() > Some(0.0));
    // The same as the command says.
    let pictures = ["obama.jpg", "obama2.jpg"]
        .map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_facewarden"));
    let mut compared =
        Ran::of(command.args(["compare", "--json", text(&pictures[0]), text(&pictures[1])])).code(0).json();
    let mut told = same.clone();
    (told["time"], compared["time"]) = (Value::Null, Value::Null);
    assert_eq!(told, compared);

    let different = served.post("/verify", &json!({
        "img1_path": uri("obama.jpg"), "img2_path": uri("biden.jpg"), "model_name": "faceplugin512",
        "detector_backend": "ultralight", "distance_metric": "euclidean_l2", "align": true, "enforce_detection": false
    }));
    let different = different.json(200);
    assert_eq!(
        (&different["verified"], &different["detector_backend"]),
        (&json!(false), &json!("ultralight"))
    );
    assert_eq!(different["similarity_metric"], "euclidean_l2");
    assert!(different["confidence"].as_f64() <= Some(49.0));
    // A threshold of 0 is one, and so is one that accepts everybody.
    for (threshold, verified) in [(0.0, false), (1.99, true)] {
        let fields = json!({ "img1": uri("obama.jpg"), "img2": uri("biden.jpg"), "threshold": threshold });
        let told = served.post("/verify", &fields).json(200);
        let confidence = told["confidence"].as_f64().unwrap();
        assert_eq!((&told["verified"], confidence >= 51.0), (&json!(verified), verified), "{told}");
    }
}

#[test]
fn forms_and_numbers_of_faces() {
    let rig = Rig::new(&NOBODY);
    let served = Served::start(&rig, "", "");
    let (one, two) = (file("obama.jpg"), file("obama2.jpg"));
    let told = form(
        &served,
        "/verify",
        &[
            ("img1", Some("a.jpg"), &one),
            ("img2", Some("b.jpg"), &two),
            ("enforce_detection", None, b"False"),
            ("align", None, b"True"),
        ],
    );
    assert_eq!(told.json(200)["verified"], true);
    // What says "false" is not taken for true.
    form(
        &served,
        "/verify",
        &[("img1", Some("a.jpg"), &one), ("img2", Some("b.jpg"), &two), ("align", None, b"false")],
    )
    .refused(400, "not_done");
    form(
        &served,
        "/verify",
        &[("img1", Some("a.jpg"), &one), ("img2", Some("b.jpg"), &two), ("align", None, b"no")],
    )
    .refused(400, "bad_field");
    form(&served, "/verify", &[("img1", Some("a.jpg"), &one)]).refused(400, "missing_picture");
    form(
        &served,
        "/verify",
        &[("img1", Some("a.jpg"), &one), ("img1", Some("a.jpg"), &one), ("img2", Some("b.jpg"), &two)],
    )
    .refused(400, "several_pictures");
    form(&served, "/represent", &[("img", Some("a.jpg"), b"Dear diary")]).refused(400, "no_picture");

    let found = served.post("/represent", &json!({ "img": uri("obama.jpg") })).json(200);
    let results = found["results"].as_array().unwrap();
    assert_eq!((results.len(), results[0]["embedding"].as_array().unwrap().len()), (1, 512));
    assert!(
        results[0]["face_confidence"].as_f64() > Some(0.5)
            && results[0]["facial_area"]["left_eye"][0].is_i64()
    );
    let many = form(
        &served,
        "/represent",
        &[("img", Some("solvay.jpg"), &file("solvay1927.jpg")), ("max_faces", None, b"3")],
    )
    .json(200);
    assert_eq!(many["results"].as_array().unwrap().len(), 3);
}

#[test]
fn what_cannot_be_answered_is_refused_with_a_reason() {
    let rig = Rig::new(&NOBODY);
    let served = Served::start(&rig, "verify: { max_picture_mb: 1, max_megapixels: 4 }", "");
    let verify = |more: Value| {
        let mut fields = json!({ "img1": uri("obama.jpg"), "img2": uri("obama2.jpg") });
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        served.post("/verify", &fields)
    };
    for (more, code, says) in [
        (json!({ "img2": null }), "missing_picture", "img2"),
        (json!({ "img2": "tests/dataset/img1.jpg" }), "not_base64", "paths of files are not read"),
        (json!({ "img2": "/etc/passwd" }), "not_base64", "paths"),
        (json!({ "img2": "https://example.org/a.jpg" }), "address", "fetches none"),
        (json!({ "img2": 7 }), "no_picture", "img2"),
        (json!({ "img2": STANDARD.encode("Dear diary") }), "no_picture", "not a JPEG"),
        (json!({ "img2": uri("cat.jpg") }), "no_face", "img2"),
        (json!({ "img2": uri("cat.jpg"), "enforce_detection": false }), "no_face", "never taken for a face"),
        (json!({ "model_name": "VGG-Face" }), "no_such_model", "faceplugin512"),
        (json!({ "model_name": "../../etc/passwd" }), "no_such_model", "faceplugin512"),
        (json!({ "model_name": "centerface" }), "no_such_model", "faceplugin512"),
        (json!({ "detector_backend": "opencv" }), "no_such_model", "centerface"),
        (json!({ "distance_metric": "manhattan" }), "no_such_metric", "euclidean_l2"),
        (json!({ "threshold": -0.5 }), "bad_field", "threshold"),
        (json!({ "threshold": "0.5" }), "bad_field", "invalid type"),
        (json!({ "enforce_detection": "false" }), "bad_field", "invalid type"),
        (json!({ "anti_spoofing": true }), "not_done", "at a camera"),
        (json!({ "treshold": 0.5 }), "bad_field", "treshold"),
    ] {
        let said = verify(more.clone()).refused(400, code);
        assert!(said.contains(says), "{more}: {said}");
    }
    let large = STANDARD.encode(vec![0; 1_000_001]);
    verify(json!({ "img2": large })).refused(413, "too_large");
    let huge = "A".repeat(4_000_000);
    assert_eq!(verify(json!({ "img2": huge })).status, 413);
    let many = STANDARD.encode("P6 2001 2000 255\n");
    verify(json!({ "img2": many })).refused(413, "too_many_pixels");

    let post = |kind: &str, body: &str| {
        let request =
            Served::agent().post(served.url("/represent")).header("Authorization", bearer(&served.admin));
        Answer::of(request.content_type(kind).send(body).unwrap())
    };
    post("application/json", "{").refused(400, "bad_json");
    post("application/json", "[]").refused(400, "bad_json");
    post("text/plain", "{}").refused(415, "not_json");
    post("multipart/form-data", "x").refused(400, "bad_form");
    post("multipart/form-data; boundary=x", "--x\r\nContent").refused(400, "bad_form");
    let get = served.get("/verify");
    get.refused(405, "no_such_method");
    served.get("/analyze").refused(404, "no_such_path");
    // Nothing of it is in the log.
    let log = served.daemon.log();
    assert!(!log.contains("base64,") && !log.contains("ERROR"), "{log}");
}

#[test]
fn nobody_needs_a_token_for_it_where_the_settings_say_so() {
    let rig = Rig::new(&NOBODY);
    let served = Served::start(&rig, "verify: { without_token: true }", "");
    let post = |path: &str, body: &Value| {
        let request = Served::agent().post(served.url(path)).content_type("application/json");
        Answer::of(request.send(body.to_string()).unwrap())
    };
    let told = post("/verify", &json!({ "img1": uri("obama.jpg"), "img2": uri("obama2.jpg") }));
    assert_eq!(told.json(200)["verified"], true);
    post("/v1/photos/check", &json!({ "image": uri("obama.jpg") })).refused(401, "not_signed_in");
}

#[test]
fn somebody_is_enrolled_from_uploads_recognised_and_told_apart() {
    let rig = Rig::new(&[Before::Barack(10), Before::Nobody(10)]);
    let served = Served::start(&rig, "", "");
    let check = |name: &str| served.post("/v1/photos/check", &json!({ "image": uri(name) })).json(200);
    let good = check("obama.jpg");
    assert_eq!(
        (&good["usable"], &good["code"], good["faces"].as_array().unwrap().len()),
        (&json!(true), &Value::Null, 1)
    );
    assert_eq!(
        (check("cat.jpg")["code"].as_str(), check("solvay1927.jpg")["code"].as_str()),
        (Some("no_face"), Some("several_faces"))
    );

    let new = json!({
        "person": "Barack", "images": [uri("obama.jpg"), uri("cat.jpg"), uri("obama.jpg")],
        "set": { "display_name": "Mr. President", "consent_by": "Barack", "consent_for": "door" }
    });
    let enrolled = served.post("/v1/persons", &new).json(201);
    assert_eq!(
        (&enrolled["added"], &enrolled["person"]["name"]),
        (&json!(1), &json!("Barack")),
        "{enrolled}"
    );
    let codes: Vec<&Value> =
        enrolled["pictures"].as_array().unwrap().iter().map(|one| &one["code"]).collect();
    assert_eq!(codes, [&Value::Null, &json!("no_face"), &json!("repeated")]);
    assert_eq!(enrolled["person"]["particulars"]["display_name"], "Mr. President");
    let verified = served.daemon.wait_for("match.verified", 0);
    assert!(served.daemon.lines()[verified - 1].contains("\"Barack\""));

    served.post("/v1/persons", &new).refused(409, "exists");
    let other = json!({ "person": "Mallory", "images": [uri("obama2.jpg")] });
    let said = served.post("/v1/persons", &other).refused(409, "conflict");
    assert!(said.contains("Barack"), "{said}");
    served
        .post("/v1/persons", &json!({ "person": "Cat", "images": [uri("cat.jpg")] }))
        .refused(422, "no_usable_picture");
    served.post("/v1/persons", &json!({ "person": "Ann", "images": [] })).refused(422, "cannot_be");
    served
        .post("/v1/persons", &json!({ "person": "", "images": [uri("obama.jpg")] }))
        .refused(400, "bad_json");
    let odd = json!({ "person": "Joe", "images": [uri("biden.jpg")], "set": { "valid_until": "soon" } });
    served.post("/v1/persons", &odd).refused(422, "cannot_be");
    served.get("/v1/persons/Joe").refused(404, "no_such_person");

    let path = format!("/v1/persons/{}/photos", enrolled["person"]["record"].as_str().unwrap());
    let more = served.post(&path, &json!({ "images": [uri("obama2.jpg")] })).json(200);
    assert_eq!((&more["added"], more["person"]["templates"].as_array().unwrap().len()), (&json!(1), 2));
    served.post(&path, &json!({ "images": [uri("biden.jpg")] })).refused(409, "conflict");
    let less = served.delete(&format!("{path}/1")).json(200);
    assert_eq!(less["templates"].as_array().unwrap().len(), 1);

    let found = served.post("/v1/identify", &json!({ "image": uri("obama3.jpg") })).json(200);
    assert_eq!(found["faces"][0]["person"], "Barack", "{found}");
    let stranger = served.post("/v1/identify", &json!({ "image": uri("biden.jpg") })).json(200);
    assert_eq!(stranger["faces"][0]["person"], Value::Null, "{stranger}");
    served.post("/v1/identify", &json!({ "image": uri("cat.jpg") })).refused(400, "no_face");
    assert!(!served.daemon.log().contains("ERROR"), "{}", served.daemon.log());
}
