//! `/metrics`: everything in it moves, the document says what it is, and the dashboard asks for nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Served;
use crate::daemon::rig::{Before, Rig, text};
use crate::support::eventually;

/// Families that cannot be made to move at the door within seconds, and the tests that show that they are counted.
const COUNTED_ELSEWHERE: [(&str, &str, &str); 4] = [
    ("facewarden_looks_dropped_total", "tests/faults.rs", "looks_dropped"),
    ("facewarden_model_failures_total", "tests/faults.rs", "model_failures"),
    ("facewarden_record_dropped_total", "src/pipeline/record.rs", "record_dropped"),
    ("facewarden_camera_lost_total", "tests/cameras.rs", "lost.get()"),
];

/// Every family with the text of its samples.
fn families(page: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            current = rest.split(' ').next().unwrap().to_owned();
            assert!(found.insert(current.clone(), Vec::new()).is_none(), "{current} is there twice");
        } else if !line.starts_with('#') {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert!(sample.starts_with(&current), "{line}");
            value.parse::<f64>().unwrap_or_else(|error| panic!("{error}: {line}"));
            found.get_mut(&current).unwrap().push(line.to_owned());
        }
    }
    found
}

#[test]
fn every_metric_is_changed_by_something() {
    let rig = Rig::new(&[Before::Nobody(30), Before::Barack(14), Before::Nobody(10), Before::Stranger(20)]);
    rig.enrol_barack();
    let secret = rig.path("secret");
    fs::write(&secret, format!("whsec_{}\n", STANDARD.encode([7; 32]))).unwrap();
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let more = format!(
        "detection: {{ max_fps: 5, idle_after_ms: 1000 }}\ndebug: {{ record: true, folder: \"{}\" }}\n",
        text(&rig.path("recordings"))
    );
    let settings = super::settings(&rig, "max_connections: 8", &more);
    // Nobody answers there.
    let port = answers_everything();
    let webhook = |name: &str, port: u16| {
        format!(
            "{{ name: {name}, url: \"http://127.0.0.1:{port}/\", secret_file: \"{}\", backoff: {{ first_ms: 50, max_ms: 100 }} }}",
            text(&secret)
        )
    };
    let webhook = format!("webhooks: [{}, {}], outbox", webhook("gone", 9), webhook("there", port));
    let served = Served::of(&rig, &settings.replacen("outbox", &webhook, 1));
    let first = families(served.get("/metrics").text());
    let mut moved: BTreeSet<String> = BTreeSet::new();

    let picture = STANDARD
        .encode(fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures/obama.jpg")).unwrap());
    let both = json!({ "img1": picture, "img2": picture });
    std::thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| served.post("/verify", &both).json(200))));
    });
    // They are taken in in turn, so that the last one is hung up on.
    let mut guests: Vec<TcpStream> = (0..12).map(|_| TcpStream::connect(served.address).unwrap()).collect();
    assert_eq!(guests[11].read(&mut [0; 1]).unwrap(), 0);
    drop(guests);
    rig.enrol_somebody("Ann");
    served.daemon.wait_for("match.verified", 0);
    served.daemon.wait_for("match.unknown", 0);
    served.delete("/v1/persons/Barack").json(200);
    served.post("/v1/cameras/door/pause", &json!({ "seconds": 1 })).json(200);
    fs::write(rig.enrolled().join("01KB000000000000000000000A.fwp"), "damaged").unwrap();

    let elsewhere: BTreeSet<&str> = COUNTED_ELSEWHERE.iter().map(|(family, ..)| *family).collect();
    let mut still = Vec::new();
    eventually("everything moves", || {
        let _guest = TcpStream::connect(served.address).unwrap();
        let now = families(served.get("/metrics").text());
        moved.extend(
            now.iter()
                .filter(|(family, samples)| first.get(*family) != Some(samples))
                .map(|(f, _)| f.clone()),
        );
        still =
            now.keys().filter(|f| !moved.contains(*f) && !elsewhere.contains(f.as_str())).cloned().collect();
        let is_done = still.is_empty();
        if !is_done {
            std::thread::sleep(std::time::Duration::from_millis(300));
            let lines: Vec<&Vec<String>> = still.iter().filter_map(|family| first.get(family)).collect();
            eprintln!("not yet: {still:?} {lines:?}");
        }
        is_done
    });
    for (family, file, counter) in COUNTED_ELSEWHERE {
        assert!(first.contains_key(family), "{family} is gone");
        let test = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        assert!(test.contains(counter), "{file} does not look at {counter} any more");
    }
    let page = served.get("/metrics");
    assert_eq!(page.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(!page.text().contains("Barack"), "{}", page.text());
    documents(&families(page.text()), page.text());
}

/// A server that says yes to whatever it is told, until the test is over.
#[expect(clippy::disallowed_methods, reason = "it ends with the test's process, and nobody waits for it")]
fn answers_everything() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while lines.read_line(&mut line).is_ok_and(|read| read > 2) {
                let found =
                    line.to_lowercase().strip_prefix("content-length: ").map(|n| n.trim().parse().unwrap());
                length = found.unwrap_or(length);
                line.clear();
            }
            lines.read_exact(&mut vec![0; length]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        }
    });
    port
}

/// The document names every family, and the dashboard and the alerts ask for what there is.
fn documents(families: &BTreeMap<String, Vec<String>>, page: &str) {
    let read = |name: &str| {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
    };
    let table: BTreeSet<String> = read("metrics.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `facewarden_"))
        .map(|line| format!("facewarden_{}", line.split('`').next().unwrap()))
        .collect();
    assert_eq!(table, families.keys().cloned().collect(), "the table of docs/metrics.md");
    let dashboard: Value = serde_json::from_str(&read("grafana.json")).unwrap();
    let mut asked = Vec::new();
    collect(&dashboard, &mut asked);
    assert!(asked.len() > 10);
    for text in asked.iter().map(String::as_str).chain([read("integrations/prometheus-alerts.yml").as_str()])
    {
        for at in text.match_indices("facewarden_").map(|(at, _)| at) {
            let name: String =
                text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            assert!(
                page.contains(&format!("\n{name}")),
                "`{name}` is asked for, and there is no such metric"
            );
        }
    }
}

/// Everything that the dashboard asks the database for.
fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| collect(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
        _ => (),
    }
}
