//! Who is let in, and from where.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use facewarden::http::{Scope, TokenFile};
use serde_json::json;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use super::{Answer, Served, bearer, settings, token};
use crate::daemon::rig::{Before, Rig, text};
use crate::support::eventually;

const NOBODY: [Before; 1] = [Before::Nobody(3)];

#[test]
fn a_token_opens_what_its_scope_is_for_and_nothing_else() {
    let rig = Rig::new(&NOBODY);
    let made = TokenFile::at(&rig.path("tokens.json"));
    let scopes = [(Scope::Verify, false), (Scope::Kiosk, false), (Scope::Read, true), (Scope::Enrol, true)];
    let secrets = scopes.map(|(scope, may_read)| (scope, may_read, token(&made, scope.as_str(), scope)));
    let served = Served::start(&rig, "", "");
    let with = |method: &str, path: &str, token: &str| {
        let request = ureq::http::Request::builder().method(method).uri(served.url(path));
        let request = request.header("Authorization", bearer(token)).body(()).unwrap();
        Answer::of(Served::agent().run(request).unwrap())
    };
    for (scope, may_read, secret) in &secrets {
        let (may_read, secret) = (*may_read, secret.as_str());
        assert_eq!(with("GET", "/v1/status", secret).status == 200, may_read, "{scope:?}");
        with("GET", "/v1/settings", secret).refused(403, "scope");
        if !may_read {
            with("GET", "/v1/status", secret).refused(403, "scope");
        }
        with("DELETE", "/v1/persons/Ada", secret).refused(403, "scope");
    }
    for path in ["/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(Answer::of(Served::agent().get(served.url(path)).call().unwrap()).status, 200, "{path}");
    }
    let without = Answer::of(Served::agent().get(served.url("/v1/persons")).call().unwrap());
    assert!(without.refused(401, "not_signed_in").contains("facewarden token create"));
    assert_eq!(without.header("www-authenticate"), "Bearer");
    with("GET", "/v1/persons", "fwt_wrong").refused(401, "not_signed_in");
    // The file is looked at once a second.
    let read = &secrets[2].2;
    served.tokens.revoke("read").unwrap();
    eventually("it is out", || with("GET", "/v1/status", read).status == 401);
    let again = token(&served.tokens, "again", Scope::Read);
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(with("GET", "/v1/status", &again).status, 200);
}

#[test]
fn whoever_tries_tokens_waits() {
    let rig = Rig::new(&NOBODY);
    let served = Served::start(&rig, "", "");
    let tried = |token: &str| {
        Answer::of(
            Served::agent()
                .get(served.url("/v1/status"))
                .header("Authorization", bearer(token))
                .call()
                .unwrap(),
        )
    };
    let statuses: Vec<u16> = (0..25).map(|number| tried(&format!("fwt_{number}")).status).collect();
    assert!(statuses[..20].iter().all(|status| *status == 401) && statuses[24] == 429, "{statuses:?}");
    let waits = tried(&served.admin);
    waits.refused(429, "too_often");
    assert_eq!(waits.header("retry-after"), "6");
}

#[test]
fn too_many_requests_are_refused_and_health_is_not() {
    let rig = Rig::new(&NOBODY);
    let served = Served::start(&rig, "requests_per_second: 2", "");
    let statuses: Vec<u16> = (0..8).map(|_| served.get("/v1/session-less").status).collect();
    assert!(statuses.iter().all(|status| *status == 404), "{statuses:?}");
    let statuses: Vec<u16> = (0..8).map(|_| served.get("/v1/cameras").status).collect();
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
    let health = || Answer::of(Served::agent().get(served.url("/healthz")).call().unwrap()).status;
    assert!((0..50).all(|_| health() == 200));
}

#[test]
fn a_browser_signs_in_once_and_shows_that_it_is_its_own_page() {
    let rig = Rig::new(&NOBODY);
    let served = Served::start(&rig, "", "");
    let agent = Served::agent();
    let sign_in = |token: &str| {
        let request = agent.post(served.url("/v1/session")).content_type("application/json");
        Answer::of(request.send(json!({ "token": token }).to_string()).unwrap())
    };
    sign_in("fwt_wrong").refused(401, "not_signed_in");
    let signed = sign_in(&served.admin);
    let csrf = signed.json(200)["csrf"].as_str().unwrap().to_owned();
    let set = signed.header("set-cookie").to_owned();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    let cookie = set.split(';').next().unwrap().to_owned();
    let get = |path: &str| {
        Answer::of(Served::agent().get(served.url(path)).header("Cookie", &cookie).call().unwrap())
    };
    let status = get("/v1/session").json(200);
    assert_eq!((&status["name"], &status["csrf"]), (&json!("admin"), &json!(csrf)));
    assert_eq!(get("/v1/status").status, 200);
    let pause = |header: (&str, &str)| {
        let request = Served::agent().post(served.url("/v1/cameras/door/pause")).header("Cookie", &cookie);
        let request = request.header(header.0, header.1).content_type("application/json");
        Answer::of(request.send("{}").unwrap())
    };
    pause(("X-Other", "1")).refused(403, "csrf");
    pause(("X-Facewarden-CSRF", "wrong")).refused(403, "csrf");
    assert_eq!(pause(("X-Facewarden-CSRF", &csrf)).status, 200);
    let sign_out = |csrf: &str| {
        let request = Served::agent().delete(served.url("/v1/session")).header("Cookie", &cookie);
        Answer::of(request.header("X-Facewarden-CSRF", csrf).call().unwrap())
    };
    sign_out("wrong").refused(403, "csrf");
    assert_eq!(sign_out(&csrf).status, 204);
    get("/v1/session").refused(401, "not_signed_in");
    get("/v1/status").refused(401, "not_signed_in");
    // A session ends with its token.
    let again = sign_in(&served.admin);
    let cookie = again.header("set-cookie").split(';').next().unwrap().to_owned();
    let get = || {
        Answer::of(Served::agent().get(served.url("/v1/status")).header("Cookie", &cookie).call().unwrap())
            .status
    };
    assert_eq!(get(), 200);
    served.tokens.revoke("admin").unwrap();
    eventually("the session is over", || get() == 401);
}

#[test]
fn other_pages_and_other_names_are_refused() {
    let rig = Rig::new(&NOBODY);
    let served = Served::start(&rig, "names: [door.example]", "");
    let port = served.address.port();
    let asked = |host: &str, origin: Option<&str>| {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let origin = origin.map(|origin| format!("Origin: {origin}\r\n")).unwrap_or_default();
        write!(stream, "GET /healthz HTTP/1.1\r\nHost: {host}\r\n{origin}Connection: close\r\n\r\n").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    for own in ["localhost", "127.0.0.1:9", "[::1]:9", "door.example", "DOOR.example:8460"] {
        assert_eq!(asked(own, None), 200, "{own}");
    }
    for other in ["evil.example", "door.example.evil", "localhost.evil:8460"] {
        assert_eq!(asked(other, None), 421, "{other}");
    }
    let own = format!("localhost:{port}");
    assert_eq!(asked(&own, Some(&format!("http://{own}"))), 200);
    for foreign in ["null", "http://evil.example", "http://localhost:1", "localhost", ""] {
        assert_eq!(asked(&own, Some(foreign)), 403, "{foreign}");
    }
}

#[test]
fn other_machines_are_listened_to_with_tls_and_a_token_alone() {
    let rig = Rig::new(&NOBODY);
    let everywhere = |tls: &str| settings(&rig, tls, "").replace("127.0.0.1:0", "0.0.0.0:0");
    let mut daemon = rig.watch(&everywhere(""));
    let (code, said) = daemon.failure();
    assert!(code == 78 && daemon.log().contains("http.tls"), "{code} {said}");

    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (rig.path("c.pem"), rig.path("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let tls = format!("tls: {{ certificate: \"{}\", key: \"{}\" }}", text(&certificate), text(&key));
    let mut daemon = rig.watch(&everywhere(&tls));
    let (code, said) = daemon.failure();
    assert!(code == 78 && said.contains("facewarden token create"), "{code} {said}");

    let served = Served::start(&rig, &tls, "");
    let root = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let trust = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(rustls::crypto::ring::default_provider().into())
        .root_certs(RootCerts::new_with_certs(&[root]))
        .build();
    let agent =
        ureq::Agent::config_builder().tls_config(trust).http_status_as_error(false).build().new_agent();
    let url = format!("https://127.0.0.1:{}", served.address.port());
    let status =
        agent.get(format!("{url}/v1/status")).header("Authorization", bearer(&served.admin)).call().unwrap();
    let status = Answer::of(status);
    assert_eq!(status.status, 200, "{}", status.text());
    assert!(status.header("strict-transport-security").contains("max-age="));
    let signed = agent.post(format!("{url}/v1/session")).content_type("application/json");
    let signed = Answer::of(signed.send(json!({ "token": served.admin }).to_string()).unwrap());
    assert!(signed.header("set-cookie").ends_with("; Secure"), "{}", signed.header("set-cookie"));
    // Without TLS nothing is said at that port.
    let mut plain = TcpStream::connect(served.address).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut said = Vec::new();
    // It may be reset or closed.
    plain.read_to_end(&mut said).ok();
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
}
