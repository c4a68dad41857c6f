//! The server alone, with a main thread that answers as the test wants.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use facewarden::clock::{Clock, SimulatedClock};
use facewarden::config::Control;
use facewarden::control::{
    Answer, AskError, Asked, Client, ControlServer, MAX_CLIENTS, MAX_REQUEST_BYTES, Refusal, Reply, Request,
    read_answer, write_request,
};
use facewarden::listen::ListenError;

use crate::support::{LONG, eventually};

struct Desk {
    _folder: tempfile::TempDir,
    path: PathBuf,
    /// Nobody turns it but the test.
    clock: SimulatedClock,
    knocks: Arc<AtomicUsize>,
    server: Option<ControlServer>,
    asked: Receiver<Asked>,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/control.sock");
        let clock = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH);
        let (_, asked) = bounded(0);
        let mut desk = Self { _folder: folder, path, clock, knocks: Arc::default(), server: None, asked };
        desk.open();
        desk
    }

    fn open(&mut self) {
        let (server, asked) = self.try_open().unwrap();
        (self.server, self.asked) = (Some(server), asked);
    }

    fn try_open(&self) -> Result<(ControlServer, Receiver<Asked>), ListenError> {
        let (clock, knocks) = (Arc::new(self.clock.clone()) as Arc<dyn Clock>, Arc::clone(&self.knocks));
        let knock = Arc::new(move || {
            knocks.fetch_add(1, Ordering::Relaxed);
        });
        ControlServer::open(&self.path, &Control::default(), clock, knock)
    }

    fn close(&mut self) {
        assert!(self.server.take().unwrap().close(LONG), "it ended in time");
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    fn say(&self, bytes: &[u8]) -> UnixStream {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        stream
    }

    fn client(&self, request: &Request) -> Client {
        Client::ask(&self.path, request).unwrap()
    }

    fn next(&self) -> Asked {
        self.asked.recv_timeout(LONG).unwrap()
    }
}

/// The one line that is said, and then nothing.
fn only(stream: UnixStream) -> Answer {
    let mut lines = Vec::new();
    BufReader::new(stream).read_to_end(&mut lines).unwrap();
    assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 1, "{lines:?}");
    read_answer(&lines).unwrap()
}

#[track_caller]
fn check_refused(answer: &Answer, expected: Refusal, words: &str) {
    let Answer::Refused { reason, message } = answer else { panic!("{answer:?}") };
    assert!(*reason == expected && message.contains(words), "{reason:?} {message}");
}

fn done(message: &str) -> Answer {
    Answer::Done { message: message.to_owned() }
}

#[test]
fn a_request_comes_to_the_main_thread_and_its_answer_goes_back() {
    let desk = Desk::new();
    let mut client = desk.client(&Request::Pause { camera: None, seconds: Some(5) });
    let asked = desk.next();
    eventually("a knock", || desk.knocks.load(Ordering::Relaxed) == 1);
    assert_eq!(asked.request, Request::Pause { camera: None, seconds: Some(5) });
    assert_eq!(asked.caller.uid, rustix::process::geteuid().as_raw());
    asked.answer(Reply::Answer(done("paused")));
    assert_eq!(client.next_answer().unwrap(), done("paused"));
    assert!(matches!(client.next_answer(), Err(AskError::HungUp)));
}

#[test]
fn work_is_done_on_the_clients_thread_and_says_how_it_goes() {
    let desk = Desk::new();
    let mut client = desk.client(&Request::Reload {});
    let progress = |taken| Answer::Progress { message: "more".into(), taken, wanted: 2 };
    desk.next().answer(Reply::Work(Box::new(move |talk| {
        assert!(!talk.is_gone());
        for taken in 0..2 {
            talk.say(&progress(taken)).unwrap();
        }
        let name = std::thread::current().name().map(str::to_owned);
        done(&name.unwrap())
    })));
    let answers: Vec<Answer> = (0..3).map(|_| client.next_answer().unwrap()).collect();
    assert_eq!(answers[..2], [progress(0), progress(1)]);
    assert_eq!(answers[2], done("control-1"));
}

#[test]
fn work_learns_that_whoever_asked_has_gone_and_not_of_one_who_only_listens() {
    let desk = Desk::new();
    let gone = |asked: Asked| {
        let (tell, told) = bounded(1);
        asked.answer(Reply::Work(Box::new(move |talk| {
            tell.send(talk.is_gone()).unwrap();
            eventually("gone", || talk.is_gone());
            tell.send(true).ok();
            done("in vain")
        })));
        told
    };
    let client = desk.client(&Request::Reload {});
    let told = gone(desk.next());
    assert!(!told.recv_timeout(LONG).unwrap());
    drop(client);
    assert!(told.recv_timeout(LONG).unwrap());
    let stream = desk.say(&write_request(&Request::Reload {}));
    stream.shutdown(Shutdown::Write).unwrap();
    let told = gone(desk.next());
    assert!(!told.recv_timeout(LONG).unwrap(), "it still listens");
    drop(stream);
    assert!(told.recv_timeout(LONG).unwrap());
}

#[test]
fn what_is_no_request_is_refused_and_never_gets_to_the_main_thread() {
    let desk = Desk::new();
    for odd in [
        "GET / HTTP/1.1\r\n\r\n",
        "\n",
        "{}\n",
        "[[[[[[[[\n",
        "\u{0}\u{1}\n",
        "{\"version\":1,\"request\":{\"command\":\"status\",\"verbose\":true}}\n",
    ] {
        check_refused(&only(desk.say(odd.as_bytes())), Refusal::NoRequest, "that is no request");
    }
    let newer = desk.say(b"{\"version\":9,\"request\":{\"command\":\"dance\"}}\n");
    check_refused(&only(newer), Refusal::NoRequest, "version 1");
    let binary = desk.say(&[0xFF; 600].map(|byte: u8| byte.wrapping_add(1)));
    binary.shutdown(Shutdown::Write).unwrap();
    check_refused(&only(binary), Refusal::NoRequest, "that is no request");
    let half = desk.say(b"{\"version\":1,");
    half.shutdown(Shutdown::Write).unwrap();
    check_refused(&only(half), Refusal::NoRequest, "that is no request");
    assert!(desk.asked.is_empty());
}

#[test]
fn a_line_without_an_end_is_cut_off() {
    let desk = Desk::new();
    let long = desk.say(&vec![b'x'; MAX_REQUEST_BYTES + 1]);
    check_refused(&only(long), Refusal::NoRequest, "at most 4096 bytes");
    // One that goes on writing is hung up on, however much it has.
    let mut endless = desk.connect();
    let block = vec![b'x'; 1 << 16];
    eventually("it is hung up on", || endless.write_all(&block).is_err());
    // As long as may be.
    let mut line = write_request(&Request::Status {});
    line.pop();
    line.resize(MAX_REQUEST_BYTES, b' ');
    line.push(b'\n');
    let exact = desk.say(&line);
    desk.next().answer(Reply::Answer(done("ok")));
    assert_eq!(only(exact), done("ok"));
}

#[test]
fn a_client_may_be_slow_and_not_silent() {
    let desk = Desk::new();
    let mut slow = desk.connect();
    for byte in write_request(&Request::Status {}) {
        slow.write_all(&[byte]).unwrap();
    }
    desk.next().answer(Reply::Answer(done("ok")));
    assert_eq!(only(slow), done("ok"));
    let silent = desk.connect();
    let half = desk.say(b"{\"version\"");
    // Both are in and wait; how long that is allowed to take does not depend on this machine.
    eventually("it is over", || {
        desk.clock.advance(Duration::from_secs(6));
        std::thread::sleep(Duration::from_millis(50));
        silent.set_nonblocking(true).unwrap();
        let over = (&silent).read(&mut [0; 1]).is_ok();
        silent.set_nonblocking(false).unwrap();
        over
    });
    check_refused(&only(half), Refusal::NoRequest, "no whole line within 5s");
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let desk = Desk::new();
    let stuck = desk.say(&write_request(&Request::Status {}));
    let (over, ended) = bounded(1);
    desk.next().answer(Reply::Work(Box::new(move |talk| {
        let long = Answer::Done { message: "x".repeat(4_000_000) };
        over.send(talk.say(&long)).unwrap();
        done("in vain")
    })));
    let mut result = None;
    eventually("it is given up", || {
        desk.clock.advance(Duration::from_secs(6));
        std::thread::sleep(Duration::from_millis(20));
        result = ended.try_recv().ok();
        result.is_some()
    });
    assert!(result.unwrap().is_err());
    drop(stuck);
}

#[test]
fn a_long_answer_arrives_whole() {
    let desk = Desk::new();
    let mut client = desk.client(&Request::Status {});
    let long = done(&"é\"\\".repeat(1_000_000));
    desk.next().answer(Reply::Answer(long.clone()));
    assert_eq!(client.next_answer().unwrap(), long);
}

#[test]
fn one_client_too_many_is_told_so_and_a_place_becomes_free() {
    let desk = Desk::new();
    let waiting: Vec<UnixStream> = (0..MAX_CLIENTS).map(|_| desk.connect()).collect();
    let mut refused = desk.client(&Request::Status {});
    check_refused(&refused.next_answer().unwrap(), Refusal::Busy, "try again");
    drop(waiting);
    eventually("a place", || {
        let mut client = desk.client(&Request::Status {});
        let Ok(asked) = desk.asked.recv_timeout(Duration::from_millis(200)) else { return false };
        asked.answer(Reply::Answer(done("ok")));
        client.next_answer().is_ok_and(|answer| answer == done("ok"))
    });
}

#[test]
fn a_client_that_goes_in_the_middle_disturbs_nobody() {
    let mut desk = Desk::new();
    drop(desk.connect());
    drop(desk.say(b"{\"version\":1,\"requ"));
    drop(desk.say(&write_request(&Request::Status {})));
    // It may still be answered, to nobody.
    if let Ok(asked) = desk.asked.recv_timeout(LONG) {
        asked.answer(Reply::Answer(done("to nobody")));
    }
    let mut client = desk.client(&Request::Status {});
    desk.next().answer(Reply::Answer(done("ok")));
    assert_eq!(client.next_answer().unwrap(), done("ok"));
    desk.close();
}

#[test]
fn a_main_thread_that_hangs_is_not_waited_for_for_ever() {
    let desk = Desk::new();
    let mut client = desk.client(&Request::Status {});
    let _unanswered = desk.next();
    let answer = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.next_answer().unwrap());
        while !waiting.is_finished() {
            desk.clock.advance(Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(20));
        }
        waiting.join().unwrap()
    });
    check_refused(&answer, Refusal::Unavailable, "did not answer in time");
}

#[test]
fn closing_ends_everybody_at_once() {
    let mut desk = Desk::new();
    let silent = desk.connect();
    let mut waiting = desk.client(&Request::Status {});
    let asked = desk.next();
    let mut working = desk.client(&Request::Reload {});
    desk.next().answer(Reply::Work(Box::new(|talk| {
        eventually("gone", || talk.is_gone());
        done("ended")
    })));
    desk.close();
    assert!(!desk.path.exists());
    check_refused(&waiting.next_answer().unwrap(), Refusal::Unavailable, "the daemon ends");
    assert_eq!(working.next_answer().unwrap(), done("ended"));
    assert_eq!(BufReader::new(silent).lines().count(), 0);
    // Too late, and harmless.
    asked.answer(Reply::Answer(done("late")));
}

#[test]
fn a_stale_file_is_replaced_and_a_living_one_is_not() {
    let mut desk = Desk::new();
    assert!(matches!(desk.try_open().err().unwrap(), ListenError::Busy(_)));
    desk.close();
    drop(UnixListener::bind(&desk.path).unwrap());
    let error = Client::ask(&desk.path, &Request::Status {}).unwrap_err();
    assert!(matches!(error, AskError::Deserted(_)), "{error}");
    desk.open();
    let mut client = desk.client(&Request::Status {});
    desk.next().answer(Reply::Answer(done("ok")));
    assert_eq!(client.next_answer().unwrap(), done("ok"));
    desk.close();
    fs::write(&desk.path, "precious").unwrap();
    assert!(matches!(desk.try_open().err().unwrap(), ListenError::InTheWay(_)));
}

#[test]
fn what_answers_and_is_no_daemon_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    assert!(matches!(Client::ask(&path, &Request::Status {}), Err(AskError::Missing(_))));
    let listener = UnixListener::bind(&path).unwrap();
    for (said, hangs_up) in [("220 mail.example ESMTP\n", false), ("", true), ("{\"version\":1", true)] {
        let mut client = Client::ask(&path, &Request::Status {}).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        BufReader::new(&stream).read_line(&mut String::new()).unwrap();
        stream.write_all(said.as_bytes()).unwrap();
        drop(stream);
        let error = client.next_answer().unwrap_err();
        assert_eq!(matches!(error, AskError::HungUp), hangs_up, "{said}: {error}");
    }
}
