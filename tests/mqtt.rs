//! The MQTT sink with a real broker: mosquitto, which `./setup` fetches.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

pub(crate) mod broker;
mod security;

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use facewarden::clock::{Clock, SystemClock, WallTime};
use facewarden::config::{Mqtt, MqttVersion};
use facewarden::domain::{CameraId, Event, EventKind, MatchDetail, PersonId, SCHEMA};
use facewarden::sinks::{Fate, MqttSink, Sink, SinkError};
use serde_json::{Value, json};

use self::broker::{Broker, free_port};
use crate::sinks::detail;
use crate::support::{LONG, eventually, ms};

const BOTH: [MqttVersion; 2] = [MqttVersion::V311, MqttVersion::V5];

/// The settings of a broker on this machine, beside those that are given.
fn settings(port: u16, more: Value) -> Mqtt {
    let mut all = json!({
        "name": "test", "host": "127.0.0.1", "port": port, "timeout_ms": 10_000,
        "backoff": { "first_ms": 20, "max_ms": 100 },
    });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn of_version(port: u16, version: MqttVersion) -> Mqtt {
    Mqtt { version, ..settings(port, json!({})) }
}

fn cameras() -> Vec<CameraId> {
    vec!["door".parse().unwrap(), "yard/gate".parse().unwrap()]
}

fn sink(settings: &Mqtt) -> MqttSink {
    MqttSink::new(settings, "home", &cameras(), Arc::new(SystemClock::new())).unwrap()
}

/// So long from now.
fn soon(seconds: i64) -> WallTime {
    let clock = SystemClock::new();
    let now = clock.wall(clock.now()).0.as_millisecond();
    WallTime(jiff::Timestamp::from_millisecond(now + seconds * 1000).unwrap())
}

fn event(number: u64, kind: EventKind) -> Event {
    Event { schema: SCHEMA, id: ulid::Ulid(u128::from(number)), at: soon(0), kind }
}

fn notice(number: u64) -> Event {
    event(number, EventKind::Degraded { message: format!("number {number}") })
}

fn started() -> Event {
    event(1, EventKind::Started { version: "1".into(), people: 1 })
}

fn verified(camera: &str, person: &str, expires_at: WallTime) -> Event {
    let (captured_at, decided_at) = (soon(0), soon(0));
    let detail = MatchDetail { camera: camera.parse().unwrap(), captured_at, decided_at, ..detail() };
    let person = PersonId::new(person).unwrap();
    event(2, EventKind::Verified { person, expires_at, expired: false, detail })
}

/// As the courier does it: until it is delivered.
fn deliver(sink: &mut MqttSink, event: &Event) {
    eventually("a delivery", || match sink.deliver(event) {
        Ok(()) => true,
        Err(SinkError { fate: Fate::Later { .. }, .. }) => false,
        Err(other) => panic!("{other}"),
    });
}

#[test]
fn events_states_and_devices_arrive_and_what_is_retained_arrives_later_too() {
    if !broker::is_there() {
        return;
    }
    for version in BOTH {
        let broker = Broker::open();
        let mut sink = sink(&of_version(broker.port, version));
        let listener = broker.listener();
        listener.wait("facewarden/home/door/state", "starting");
        deliver(&mut sink, &started());
        listener.wait("facewarden/home/door/state", "watching");
        assert!(listener.wait("facewarden/home/event", "service.started").payload.contains("\"people\":1"));
        let lost = EventKind::CameraLost { camera: "yard/gate".parse().unwrap(), message: "gone".into() };
        deliver(&mut sink, &event(3, lost));
        listener.wait("facewarden/home/yard_gate/event", "camera.lost");
        listener.wait("facewarden/home/yard_gate/state", "\"state\":\"lost\"");
        let grant = verified("door", "Zoë", soon(60));
        deliver(&mut sink, &grant);
        let heard = listener.wait("facewarden/home/door/event", "match.verified");
        let read: Event = serde_json::from_str(&heard.payload).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), serde_json::to_value(&grant).unwrap());
        let within = heard.expires_in_s.is_some_and(|s| (50..=60).contains(&s));
        assert_eq!(within, version == MqttVersion::V5, "{:?}", heard.expires_in_s);
        let state = listener.wait("facewarden/home/door/state", "Zoë");
        let state: Value = serde_json::from_str(&state.payload).unwrap();
        assert_eq!((&state["camera"], &state["state"]), (&json!("door"), &json!("watching")));
        assert_eq!(listener.at("facewarden/home/door/granted"), ["ON"]);

        let late = broker.listener();
        late.wait("facewarden/home/availability", "online");
        let state = late.wait("facewarden/home/yard_gate/state", "lost");
        assert!(state.is_retained);
        late.wait("facewarden/home/door/state", "Zoë");
        let of_devices: Vec<_> =
            late.heard().into_iter().filter(|heard| heard.topic.starts_with("homeassistant/")).collect();
        assert_eq!(of_devices.len(), 8, "{of_devices:#?}");
        for device in &of_devices {
            let config: Value = serde_json::from_str(&device.payload).unwrap();
            assert_eq!(config["availability_topic"], "facewarden/home/availability");
            assert!(config["unique_id"].as_str().unwrap().starts_with("facewarden_home_"));
        }
        for gone in ["facewarden/home/door/event", "facewarden/home/door/granted", "facewarden/home/event"] {
            assert_eq!(late.at(gone), Vec::<String>::new(), "{gone} is not for those who come later");
        }
        sink.close(LONG);
        late.wait("facewarden/home/availability", "offline");
        assert!(broker.listener().wait("facewarden/home/availability", "offline").is_retained);
    }
}

#[test]
fn a_grant_that_has_expired_opens_nothing() {
    if !broker::is_there() {
        return;
    }
    let broker = Broker::open();
    let mut sink = sink(&settings(broker.port, json!({})));
    let listener = broker.listener();
    deliver(&mut sink, &verified("door", "Late", soon(-1)));
    assert!(listener.wait("facewarden/home/door/event", "Late").payload.contains("\"expired\":true"));
    deliver(&mut sink, &verified("door", "Punctual", soon(60)));
    listener.wait("facewarden/home/door/state", "Punctual");
    assert_eq!(listener.at("facewarden/home/door/granted"), ["ON"], "for the second one");
    assert!(!listener.at("facewarden/home/door/state").concat().contains("Late"));
}

#[test]
fn a_filter_restricts_events_and_grants_but_not_the_state() {
    if !broker::is_there() {
        return;
    }
    let broker = Broker::open();
    let only = json!({ "only": { "kinds": ["service.degraded"] }, "home_assistant_prefix": null });
    let mut sink = sink(&settings(broker.port, only));
    let listener = broker.listener();
    assert!(sink.wants(&started()) && sink.wants(&notice(1)));
    let removed = EventKind::PersonRemoved { record: String::new(), groups: vec![] };
    assert!(!sink.wants(&event(1, removed)));
    deliver(&mut sink, &started());
    deliver(&mut sink, &verified("door", "Ada", soon(60)));
    deliver(&mut sink, &notice(5));
    listener.wait("facewarden/home/event", "number 5");
    listener.wait("facewarden/home/door/state", "Ada");
    assert_eq!(listener.at("facewarden/home/event").len(), 1);
    for silent in ["facewarden/home/door/event", "facewarden/home/door/granted"] {
        assert_eq!(listener.at(silent), Vec::<String>::new());
    }
    assert!(listener.heard().iter().all(|heard| !heard.topic.starts_with("homeassistant/")));
}

/// Runs this very test again as a process of its own, and kills it.
#[test]
fn the_will_tells_that_the_daemon_was_killed() {
    const CHILD: &str = "FACEWARDEN_TEST_MQTT_PORT";
    if let Some(port) = std::env::var_os(CHILD) {
        let mut sink = sink(&settings(port.to_str().unwrap().parse().unwrap(), json!({})));
        deliver(&mut sink, &started());
        std::thread::sleep(LONG);
        return;
    }
    if !broker::is_there() {
        return;
    }
    let broker = Broker::open();
    let listener = broker.listener();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "mqtt::the_will_tells_that_the_daemon_was_killed", "--nocapture"])
        .env(CHILD, broker.port.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    listener.wait("facewarden/home/event", "service.started");
    assert_eq!(listener.at("facewarden/home/availability"), ["online"]);
    child.kill().unwrap();
    child.wait().unwrap();
    listener.wait("facewarden/home/availability", "offline");
}

#[test]
fn when_the_broker_restarts_nothing_is_lost_and_the_order_stays() {
    if !broker::is_there() {
        return;
    }
    for version in BOTH {
        let mut broker = Broker::open();
        let mut sink = sink(&of_version(broker.port, version));
        let stats = sink.stats();
        let before = broker.listener();
        for number in 0..5 {
            deliver(&mut sink, &notice(number));
        }
        before.wait("facewarden/home/event", "number 4");
        broker.stop();
        let error = loop {
            if let Err(error) = sink.deliver(&notice(5)) {
                break error;
            }
        };
        assert!(matches!(error.fate, Fate::Later { .. }), "{error}");
        eventually("attempts", || stats.failed_attempts.load(Ordering::Relaxed) > 3);
        let said = stats.warnings.load(Ordering::Relaxed);
        assert!((1..=2).contains(&said), "{said}: that it was lost, and that nothing listens");
        broker.start();
        let after = broker.listener();
        for number in 5..10 {
            deliver(&mut sink, &notice(number));
        }
        after.wait("facewarden/home/event", "number 9");
        let numbers: Vec<_> = (5..10).map(|number| format!("number {number}")).collect();
        let heard = after.at("facewarden/home/event");
        assert_eq!(heard.len(), numbers.len(), "{heard:?}");
        assert!(heard.iter().zip(&numbers).all(|(heard, number)| heard.contains(number)), "{heard:?}");
        after.wait("facewarden/home/availability", "online");
        after.wait("facewarden/home/door/state", "starting");
        sink.close(LONG);
    }
}

#[test]
fn what_is_too_large_for_the_broker_does_not_hold_up_the_rest() {
    if !broker::is_there() {
        return;
    }
    let broker = Broker::with("allow_anonymous true\nmax_packet_size 3000\n", |_| {});
    let mut sink = sink(&of_version(broker.port, MqttVersion::V5));
    let listener = broker.listener();
    deliver(&mut sink, &notice(1));
    let large = event(2, EventKind::Degraded { message: "x".repeat(5000) });
    let error = sink.deliver(&large).unwrap_err();
    assert_eq!(error.fate, Fate::Refused, "{error}");
    assert!(error.message.contains("larger than the 3000 bytes"), "{error}");
    deliver(&mut sink, &notice(3));
    listener.wait("facewarden/home/event", "number 3");
    sink.close(LONG);
}

#[test]
fn a_broker_that_never_answers_makes_it_later_in_time() {
    for version in BOTH {
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = silent.local_addr().unwrap().port();
        let mut sink = sink(&Mqtt { timeout_ms: 300, ..of_version(port, version) });
        let clock = SystemClock::new();
        let error = sink.deliver(&notice(1)).unwrap_err();
        assert!(matches!(error.fate, Fate::Later { .. }), "{error}");
        assert!(clock.now().0 < Duration::from_secs(20), "{:?}", clock.now());
        eventually("the reason", || {
            sink.deliver(&notice(1)).is_err_and(|error| error.message.contains("within 300 ms"))
        });
        sink.close(LONG);
    }
}

#[test]
fn a_broker_that_is_not_there_is_said_once() {
    let mut sink = sink(&settings(free_port(), json!({})));
    let stats = sink.stats();
    eventually("attempts", || stats.failed_attempts.load(Ordering::Relaxed) >= 5);
    assert_eq!(stats.warnings.load(Ordering::Relaxed), 1);
    eventually("the reason", || {
        sink.deliver(&notice(1)).is_err_and(|error| error.message.contains("nothing listens there"))
    });
    let clock = SystemClock::new();
    sink.close(Duration::from_secs(20));
    assert!(clock.now().0 < Duration::from_secs(15), "a pause is interrupted");
    assert_eq!(sink.deliver(&notice(1)).unwrap_err().fate, Fate::Gone);
}

#[test]
fn cameras_that_would_share_a_topic_are_refused() {
    let cameras = ["a/b", "a_b"].map(|name| name.parse().unwrap());
    let clock = Arc::new(SystemClock::new());
    let error = MqttSink::new(&settings(1, json!({})), "home", &cameras, clock).unwrap_err();
    assert!(error.to_string().contains("`a/b` and `a_b`"), "{error}");
}

/// How long it takes from the delivery until a listener has it.
#[test]
#[ignore = "a measurement: cargo nextest run --run-ignored only --no-capture mqtt::delivery_is_fast"]
fn delivery_is_fast() {
    if !broker::is_there() {
        return;
    }
    const EVENTS: u64 = 500;
    for version in BOTH {
        let broker = Broker::open();
        let mut sink = sink(&of_version(broker.port, version));
        let listener = broker.listener();
        deliver(&mut sink, &started());
        listener.wait("facewarden/home/event", "service.started");
        let clock = SystemClock::new();
        let mut times_us = ["granted", "event", "state", "confirmed"].map(|what| (what, Vec::new()));
        for number in 0..EVENTS {
            let count = listener.heard().len();
            let from = clock.now();
            let (done, is_done) = crossbeam_channel::bounded(1);
            std::thread::scope(|scope| {
                let (sink, clock) = (&mut sink, &clock);
                scope.spawn(move || {
                    deliver(sink, &verified("door", &format!("Person {number}"), soon(60)));
                    done.send(clock.now().since(from).as_micros()).unwrap();
                });
                let mut missing = vec![0, 1, 2];
                while !missing.is_empty() {
                    let heard = listener.heard();
                    missing.retain(|&which| {
                        let (what, times) = &mut times_us[which];
                        let is_here = heard[count..].iter().any(|heard| heard.topic.ends_with(*what));
                        if is_here {
                            times.push(clock.now().since(from).as_micros());
                        }
                        !is_here
                    });
                    std::thread::sleep(Duration::from_micros(50));
                }
            });
            times_us[3].1.push(is_done.recv_timeout(LONG).unwrap());
            std::thread::sleep(ms(2));
        }
        for (what, mut times) in times_us {
            times.sort_unstable();
            let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
            println!("{version:?} {what}: p50 {} us, p99 {} us, most {} us", at(50), at(99), at(100));
            assert!(at(50) < 100_000);
        }
    }
}
