//! The relay's rules, with a line that remembers what it was told. No chip is needed; none was ever driven by a test.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use facewarden::clock::{Clock, SystemClock};
use facewarden::config::{OnlyGrants, Relay};
use facewarden::sinks::{Fate, Line, Notices, RelaySink, Sink, notices};

use super::sinks::verified;
use super::support::eventually;

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<bool>>>);

impl Told {
    fn levels(&self) -> Vec<bool> {
        self.0.lock().unwrap().clone()
    }
}

struct FakeLine {
    told: Told,
    is_broken: bool,
}

impl Line for FakeLine {
    fn set(&mut self, is_active: bool) -> Result<(), String> {
        self.told.0.lock().unwrap().push(is_active);
        if self.is_broken && is_active { Err("no such level".to_owned()) } else { Ok(()) }
    }
}

fn settings(hold_ms: u64) -> Relay {
    Relay {
        chip: "/dev/gpiochip0".into(),
        line: 17,
        active_low: false,
        hold_ms,
        only: OnlyGrants {
            people: Some(vec!["Zoë $(reboot); \"x\"".parse().unwrap()]),
            cameras: None,
            groups: None,
        },
    }
}

fn relay(hold_ms: u64, is_broken: bool, say: Notices) -> (RelaySink, Told) {
    let told = Told::default();
    let line = Box::new(FakeLine { told: told.clone(), is_broken });
    (RelaySink::new(&settings(hold_ms), line, Arc::new(SystemClock::new()), say).unwrap(), told)
}

fn after(ms: u64) -> facewarden::clock::WallTime {
    let clock = SystemClock::new();
    clock.wall(clock.now()) + Duration::from_millis(ms)
}

#[test]
fn a_grant_switches_it_on_for_a_while() {
    let (mut relay, told) = relay(50, false, notices().0);
    assert_eq!(told.levels(), [false], "off from the start");
    let grant = verified(1, after(60_000));
    assert!(relay.wants(&grant));
    relay.deliver(&grant).unwrap();
    eventually("on and off", || told.levels() == [false, true, false]);
    relay.deliver(&grant).unwrap();
    eventually("on and off again", || told.levels() == [false, true, false, true, false]);
}

#[test]
fn another_grant_starts_the_time_anew_and_the_end_switches_it_off_at_once() {
    let (mut relay, told) = relay(600_000, false, notices().0);
    for number in 0..3 {
        relay.deliver(&verified(number, after(60_000))).unwrap();
        eventually("on", || told.levels().len() as u64 == number + 2);
    }
    relay.close(Duration::from_secs(1));
    assert_eq!(told.levels(), [false, true, true, true, false]);
    assert_eq!(relay.deliver(&verified(4, after(60_000))).unwrap_err().fate, Fate::Gone);
}

#[test]
fn an_expired_grant_and_anything_else_does_not() {
    let (mut relay, told) = relay(50, false, notices().0);
    relay.deliver(&verified(1, after(0))).unwrap();
    relay.close(Duration::from_secs(1));
    assert_eq!(told.levels(), [false, false]);
}

#[test]
fn a_line_that_cannot_be_driven_is_said() {
    let (say, said) = notices();
    let (mut relay, told) = relay(50, true, say);
    relay.deliver(&verified(1, after(60_000))).unwrap();
    eventually("off again all the same", || told.levels() == [false, true, false]);
    assert_eq!(said.try_recv().unwrap(), "relay /dev/gpiochip0:17 could not be switched on: no such level");
}

#[test]
fn a_chip_that_is_not_there_is_an_error() {
    let settings = Relay { chip: "/dev/nonexistent-chip".into(), ..settings(50) };
    let error = RelaySink::open(&settings, Arc::new(SystemClock::new()), notices().0).err().unwrap();
    assert!(error.message.contains("gpiodetect"), "{error}");
}
