//! The machine itself: space on the disks, and the clock.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::finding::Findings;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;

const DISK: &str = "disk";
const CLOCK: &str = "clock";

/// With less than this much space left nothing can be relied on to be written, bytes.
const NOTHING_LEFT: u64 = 20_000_000;

/// This program was not there before: an earlier year is a clock that was never set.
const FIRST_YEAR: i16 = 2026;
/// Nor is this program in use after it.
const LAST_YEAR: i16 = 2100;

/// Space where the daemon writes.
pub(super) fn examine_disk(config: &Config) -> Findings {
    let mut found = Findings::default();
    let mut folders = needs(config);
    folders.sort_by(|a, b| a.0.cmp(&b.0));
    let mut seen: Vec<(u64, PathBuf, u64, u64)> = Vec::new();
    for (folder, bytes) in folders {
        let Some(there) = existing(&folder) else { continue };
        match space(&there) {
            // Folders on the same file system share what is left.
            Ok((device, free)) => match seen.iter_mut().find(|entry| entry.0 == device) {
                Some(entry) => entry.3 += bytes,
                None => seen.push((device, there, free, bytes)),
            },
            Err(error) => found.fail(
                DISK,
                format_args!("the space at {} cannot be told: {error}", there.display()),
                "see whether that disk is mounted and sound",
            ),
        }
    }
    for (_, folder, free, needed) in seen {
        say_space(&folder, free, needed, &mut found);
    }
    found
}

fn say_space(folder: &Path, free: u64, needed: u64, found: &mut Findings) {
    let (folder, mb) = (folder.display(), |bytes: u64| bytes / 1_000_000);
    let space = format!("{} MB are free at {folder}", mb(free));
    if free < NOTHING_LEFT {
        found.fail(DISK, space, "make room: events and enrolments cannot be written");
    } else if free < needed {
        found.warn(
            DISK,
            format_args!("{space}, and up to {} MB may be written", mb(needed)),
            "make room, or lower log_keep_files, outbox.max_mb or debug.max_mb",
        );
    } else {
        found.ok(DISK, format_args!("{space}; at most {} MB are needed", mb(needed)));
    }
}

/// Where how many bytes may be written at most.
fn needs(config: &Config) -> Vec<(PathBuf, u64)> {
    let events = &config.events;
    let mb = |mb: u32| u64::from(mb) * 1_000_000;
    let mut needs = vec![(config.gallery.folder.clone(), NOTHING_LEFT)];
    if let Some(log) = events.log.as_deref().filter(|log| *log != Path::new("-")) {
        let files = u64::from(events.log_keep_files) + 1;
        needs.push((log.parent().unwrap_or(Path::new(".")).to_owned(), mb(events.log_rotate_mb) * files));
    }
    if config.needs_outbox() {
        needs.push((events.outbox.folder.clone(), mb(events.outbox.max_mb)));
    }
    if config.debug.record {
        needs.push((config.debug.folder.clone(), u64::from(config.debug.max_mb) * 1_000_000));
    }
    needs
}

/// The nearest folder above that is there.
pub(super) fn existing(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().find(|folder| folder.is_dir()).map(Path::to_owned)
}

/// Which file system, and how many bytes are free there for ordinary users.
fn space(folder: &Path) -> std::io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let space = rustix::fs::statvfs(folder)?;
    Ok((std::fs::metadata(folder)?.dev(), space.f_bavail.saturating_mul(space.f_frsize)))
}

/// Whether the time can be believed: grants and certificates depend on it.
pub(super) fn examine_clock() -> Findings {
    let mut found = Findings::default();
    let clock = SystemClock::new();
    let now = clock.wall(clock.now());
    let year = now.0.to_zoned(jiff::tz::TimeZone::UTC).year();
    if !(FIRST_YEAR..=LAST_YEAR).contains(&year) {
        found.fail(CLOCK, format_args!("it cannot be {now}"), "set the clock: timedatectl set-ntp true");
        return found;
    }
    match synchronised() {
        Some(true) => found.ok(CLOCK, format_args!("{now}, synchronised")),
        Some(false) => found.warn(
            CLOCK,
            format_args!("{now}, and not synchronised with any other"),
            "timedatectl set-ntp true, or a clock that is kept by a battery",
        ),
        None => found.warn(
            CLOCK,
            format_args!("{now}; whether it is synchronised cannot be told"),
            "`timedatectl` says so where systemd runs",
        ),
    }
    found
}

fn synchronised() -> Option<bool> {
    let output = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_that_is_short_is_a_warning_and_none_a_failure() {
        let said = |free, needed| {
            let mut found = Findings::default();
            say_space(Path::new("/var"), free, needed, &mut found);
            found.0[0].to_string()
        };
        assert!(said(NOTHING_LEFT - 1, 0).starts_with("FAIL  disk        19 MB are free at /var"));
        assert!(
            said(99_000_000, 100_000_000)
                .starts_with("warn  disk        99 MB are free at /var, and up to 100 MB")
        );
        assert!(said(100_000_000, 100_000_000).starts_with("ok "));
    }

    #[test]
    fn what_is_switched_off_needs_no_space() {
        let yaml = "schema: 1\ncameras: [{id: a, source: /dev/video0}]\nevents: {log: /var/log/a/b.jsonl}\n";
        let config = Config::from_yaml(yaml, "x").unwrap();
        let places = |config: &Config| needs(config).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        assert_eq!(places(&config), [config.gallery.folder.clone(), "/var/log/a".into()]);
        assert_eq!(needs(&config)[1].1, 16_000_000 * 21);
        let mut config = config;
        config.debug.record = true;
        config.events.socket = Some(crate::config::Socket::default());
        assert_eq!(places(&config).len(), 4);
    }
}
