//! A log on a disk that is full or may not be written, and under a process that is killed.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use facewarden::sinks::{Fate, Sink as _};

use super::{NEVER, NO_WAIT, Place, notice, three_entries};

/// A small file system in memory, which goes away with this.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` where this machine does not let us have one, which is said.
    fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(folder.path())
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("SKIPPED: no file system may be mounted here");
        }
        mounted.then_some(Self(folder))
    }

    fn remount(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{options}")]).arg(self.0.path()).status().unwrap().success()
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

#[test]
fn on_a_full_disk_nothing_is_glued_together_and_it_goes_on_when_there_is_room() {
    let Some(disk) = Disk::new("size=32k") else { return };
    let place = Place::at(&disk.path().join("events.jsonl"));
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![b'x'; 12_000]).unwrap();
    let mut log = place.open(NEVER);
    let mut written = 0;
    let error = loop {
        match log.deliver(&notice(written + 1)) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(written > 10, "{written}");
    assert_eq!(error.fate, Fate::Later { after: None });
    assert!(error.message.contains("No space left"), "{error}");
    assert!(log.deliver(&notice(written + 1)).is_err());
    assert!(place.text().ends_with("}}\n"), "the half line was taken back");
    log.rest().unwrap();
    assert_eq!(place.verify().unwrap().entries, written);
    fs::remove_file(&filler).unwrap();
    log.deliver(&notice(written + 1)).unwrap();
    log.close(NO_WAIT);
    let report = place.verify().unwrap();
    assert_eq!((report.entries, report.torn_bytes, report.unconfirmed), (written + 1, 0, 0));
    assert_eq!(place.said(), Vec::<String>::new());
}

#[test]
fn a_full_disk_does_not_keep_a_log_from_being_opened_and_rotated() {
    let Some(disk) = Disk::new("size=32k") else { return };
    let place = Place::at(&disk.path().join("events.jsonl"));
    place.write(NEVER, 1..=3);
    let filler = disk.path().join("filler");
    assert!(fs::write(&filler, vec![b'x'; 40_000]).is_err(), "it is full");
    let mut log = place.open(three_entries());
    let mut next = 4;
    // There may be room left in the last block of the file, and none in a new one.
    while log.deliver(&notice(next)).is_ok() {
        next += 1;
    }
    fs::remove_file(&filler).unwrap();
    for number in next..next + 6 {
        log.deliver(&notice(number)).unwrap();
    }
    log.close(NO_WAIT);
    assert_eq!(place.verify().unwrap().head.0, next + 5);
}

#[test]
fn on_a_read_only_disk_events_may_be_delivered_later() {
    let Some(disk) = Disk::new("size=1m") else { return };
    let place = Place::at(&disk.path().join("events.jsonl"));
    place.write(NEVER, 1..=2);
    if !disk.remount("ro") {
        eprintln!("SKIPPED: no file system may be made read-only here");
        return;
    }
    let error = place.try_open(NEVER).unwrap_err();
    assert!(error.message.contains("Read-only"), "{error}");
    assert!(disk.remount("rw"));
    let mut log = place.open(three_entries());
    log.deliver(&notice(3)).unwrap();
    log.rest().unwrap();
    // Forbids new names, not writing: the log grows on, and says so once.
    let frozen =
        Command::new("chattr").arg("+i").arg(disk.path()).status().is_ok_and(|status| status.success());
    if frozen {
        (4..=9).for_each(|number| log.deliver(&notice(number)).unwrap());
        let said = place.said();
        assert!(said.len() == 1 && said[0].contains("cannot be moved aside"), "{said:?}");
        assert!(Command::new("chattr").arg("-i").arg(disk.path()).status().unwrap().success());
        log.deliver(&notice(10)).unwrap();
    } else {
        eprintln!("SKIPPED: no folder can be frozen here");
        (4..=10).for_each(|number| log.deliver(&notice(number)).unwrap());
    }
    log.close(NO_WAIT);
    assert_eq!(place.verify().unwrap().entries, 10);
}

/// Runs this very test again as a process of its own, which appends as fast as it can and is killed, again and again.
#[test]
fn kill_9_never_leaves_a_log_that_does_not_verify() {
    const CHILD: &str = "FACEWARDEN_TEST_LOG";
    const KILLS: u64 = 20;
    let rotation = facewarden::sinks::Rotation { rotate_bytes: 20_000, keep_files: 1000 };
    if let Some(path) = std::env::var_os(CHILD) {
        let place = Place::at(Path::new(&path));
        let mut log = place.open(rotation);
        println!("open");
        let from = log.head().unwrap().0 + 1;
        for number in from.. {
            log.deliver(&notice(number)).unwrap();
            if number % 7 == 0 {
                log.rest().unwrap();
            }
        }
        return;
    }
    let place = Place::new();
    let mut entries = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "log::disk::kill_9_never_leaves_a_log_that_does_not_verify", "--nocapture"])
            .env(CHILD, &place.path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.contains("open")), "it did not begin");
        std::thread::sleep(std::time::Duration::from_millis(5 + kill * 7 % 40));
        child.kill().unwrap();
        child.wait().unwrap();
        let report = place.verify().unwrap_or_else(|error| panic!("after kill {kill}: {error}"));
        // On a busy machine it may not have come to write anything; nothing that was there may be gone.
        assert!(report.entries >= entries, "kill {kill} cost {} entries", entries - report.entries);
        entries = report.entries;
    }
    assert!(entries > KILLS, "only {entries} entries: too few kills came while it wrote");
    // Opening repairs what a kill left, and loses no whole entry.
    let log = place.open(rotation);
    assert_eq!((log.head().unwrap().0, log.last_id()), (entries, Some(notice(entries).id)));
    assert!(place.names().len() > 3, "it was rotated on the way");
}
