//! What the server does with those who mean no good, or are broken: it refuses them, keeps its memory, and goes on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{ExtendedColorType, ImageEncoder as _};
use serde_json::json;

use super::{Answer, Served, bearer};
use crate::daemon::rig::{Before, Rig};
use crate::support::eventually;

const NOBODY: [Before; 1] = [Before::Nobody(3)];

fn connect(served: &Served) -> TcpStream {
    let stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// The most memory that it ever had, megabytes.
fn peak_mb(served: &Served) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn is_well(served: &Served) -> bool {
    Served::agent().get(served.url("/healthz")).call().is_ok_and(|answer| answer.status() == 200)
}

#[test]
fn whoever_sends_headers_drop_by_drop_is_hung_up_on() {
    let rig = Rig::new(&NOBODY);
    let served = Served::start(&rig, "max_connections: 8", "");
    let mut slow: Vec<TcpStream> = (0..8).map(|_| connect(&served)).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").unwrap();
    }
    // All places are taken; who comes now is hung up on at once.
    eventually("the places are taken", || !is_well(&served));
    // Before the server gives up on them, each sends one more byte now and then.
    let mut ended = 0;
    for _ in 0..40 {
        std::thread::sleep(Duration::from_millis(500));
        ended = slow.iter_mut().filter_map(|stream| stream.write_all(b"x").err()).count();
        if ended == slow.len() {
            break;
        }
    }
    eventually("there is room again", || is_well(&served));
    assert!(ended > 0, "nobody was hung up on");
}

#[test]
fn a_body_of_a_gigabyte_is_refused_before_it_is_read() {
    let rig = Rig::new(&NOBODY);
    let served = Served::start(&rig, "", "");
    served.get("/v1/status").json(200);
    let before = peak_mb(&served);
    for length in ["Content-Length: 1000000000", "Transfer-Encoding: chunked"] {
        let mut stream = connect(&served);
        let head = format!(
            "POST /verify HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n{length}\r\n\r\n",
            served.admin
        );
        stream.write_all(head.as_bytes()).unwrap();
        let (piece, mut sent) = (vec![b'a'; 1 << 20], 0_usize);
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
        let bytes = if length.starts_with('T') { &chunk } else { &piece };
        // It hangs up long before the end.
        while sent < 1_000_000_000 && stream.write_all(bytes).is_ok() {
            sent += piece.len();
        }
        assert!(sent < 200_000_000, "{length}: it took {sent} bytes");
    }
    assert!(is_well(&served));
    let after = peak_mb(&served);
    assert!(after < before + 150, "{before} MB and then {after} MB");
}

#[test]
fn small_files_with_huge_pictures_in_them_cost_nothing() {
    let rig = Rig::new(&NOBODY);
    let served = Served::start(&rig, "", "");
    let good = std::fs::read("tests/pictures/obama.jpg").unwrap();
    served.post("/represent", &json!({ "img": STANDARD.encode(&good) })).json(200);
    let before = peak_mb(&served);
    // 12,000 x 12,000 black pixels in a few hundred kilobytes.
    let (side, mut png) = (12_000_u32, Vec::new());
    let row = vec![0; (side * side) as usize];
    image::codecs::png::PngEncoder::new(&mut png)
        .write_image(&row, side, side, ExtendedColorType::L8)
        .unwrap();
    drop(row);
    assert!(png.len() < 1_000_000);
    let mut promise = png[..64].to_vec();
    promise[16..24].copy_from_slice(&[0, 0, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF]);
    let pnm = b"P6 16000 16000 255\n".to_vec();
    let bmp = [
        b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".as_slice(),
        &[0, 0x40, 0, 0, 0, 0x40, 0, 0, 1, 0, 24, 0],
        &[0; 24],
    ]
    .concat();
    for (name, bomb) in [("png", png), ("promise", promise), ("pnm", pnm), ("bmp", bmp)] {
        let answer = served.post("/represent", &json!({ "img": STANDARD.encode(&bomb) }));
        assert!(matches!(answer.status, 400 | 413), "{name}: {} {}", answer.status, answer.text());
    }
    let after = peak_mb(&served);
    assert!(after < before + 100, "{before} MB and then {after} MB");
    assert!(!served.daemon.log().contains("ERROR"), "{}", served.daemon.log());
}

#[test]
fn ten_thousand_connections_are_outlived() {
    let rig = Rig::new(&NOBODY);
    let served = Served::start(&rig, "", "");
    served.get("/v1/status").json(200);
    let before = peak_mb(&served);
    let mut held = Vec::new();
    for number in 0..10_000 {
        // The system may refuse, too.
        let Ok(stream) = TcpStream::connect(served.address) else { continue };
        // So many are held; the others come and go.
        if number % 30 == 0 && held.len() < 300 {
            held.push(stream);
        }
    }
    // Those that are held are all that there are, up to the limit.
    let metrics = || {
        let request =
            Served::agent().get(served.url("/metrics")).header("Authorization", bearer(&served.admin));
        request.call().map(Answer::of).ok().filter(|answer| answer.status == 200)
    };
    drop(held);
    let mut page = String::new();
    eventually("it answers again", || {
        page = metrics().map(|answer| answer.text().to_owned()).unwrap_or_default();
        !page.is_empty()
    });
    let refused =
        page.lines().find_map(|line| line.strip_prefix("facewarden_http_connections_refused_total "));
    assert!(refused.unwrap().parse::<u64>().unwrap() > 0, "{refused:?}");
    let after = peak_mb(&served);
    assert!(after < before + 150, "{before} MB and then {after} MB");
    assert_eq!(served.get("/v1/status").json(200)["cameras"][0]["state"], "watching");
}

#[test]
fn what_is_no_request_is_no_matter() {
    let rig = Rig::new(&NOBODY);
    let served = Served::start(&rig, "", "");
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(40_000));
    let many: String = (0..200).map(|number| format!("X-{number}: 1\r\n")).collect();
    let many = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    for odd in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &long,
        &many,
    ] {
        let mut stream = connect(&served);
        stream.write_all(odd.as_bytes()).unwrap();
        let mut said = Vec::new();
        // It may be reset.
        stream.read_to_end(&mut said).ok();
        assert!(!said.starts_with(b"HTTP/1.1 200"), "{}", &odd[..odd.len().min(40)]);
    }
    for path in [
        "/v1/persons/%FF%FE",
        "/v1/cameras/..%2F..%2Fetc/snapshot",
        "/pages/..%2F..%2Fetc%2Fpasswd",
        "/v1/persons/%00",
        "//",
        "/%2e%2e/",
    ] {
        let answer = served.get(path);
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
    }
    assert!(is_well(&served) && !served.daemon.log().contains("ERROR"), "{}", served.daemon.log());
}

#[test]
fn whoever_sends_all_of_what_is_refused_reads_why() {
    let rig = Rig::new(&NOBODY);
    let served = Served::start(&rig, "", "");
    let large = vec![b'a'; 12_000_000];
    for (path, token, status, code) in [
        ("/verify", "fwt_wrong", 401, "not_signed_in"),
        ("/v1/events", served.admin.as_str(), 405, "no_such_method"),
        ("/v1/cameras/door/pause", served.admin.as_str(), 413, "too_large"),
    ] {
        let request = Served::agent().post(served.url(path)).header("Authorization", bearer(token));
        let answer = Answer::of(request.content_type("application/json").send(&large[..]).unwrap());
        answer.refused(status, code);
    }
}
