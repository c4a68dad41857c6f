//! Where names of people are kept beside the gallery: the outbox, the event log, and recordings. For the daemon, which
//! holds the first two, and for the command line where no daemon runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::bundles;
use crate::clock::{Clock, SystemClock};
use crate::cmds::exit::{Exit, Failure, OrExit};
use crate::cmds::telling::{LOG, outbox_failure, outbox_keys};
use crate::config::Config;
use crate::control::{Answer, Forgotten, Talk, Work};
use crate::domain::{Erasure, Event, EventKind, SCHEMA};
use crate::sinks::{EventLog, LogKeeper, Outbox, Rotation, log_exists, notices};

/// Decisions that are under way when somebody is removed are told within this time.
const SETTLE: Duration = Duration::from_millis(500);
/// The log is waited for so long, so that what happened is in it before it is forgotten there.
const LOG_WITHIN: Duration = Duration::from_secs(3);

/// Where names are kept.
pub(in crate::cmds) struct Places {
    pub(in crate::cmds) outbox: Option<Arc<Outbox>>,
    /// Why there is an outbox that cannot be opened.
    pub(in crate::cmds) unopened: Option<String>,
    pub(in crate::cmds) log: Option<LogKeeper>,
    /// The folder of recorded decisions, which may not be there.
    pub(in crate::cmds) recordings: PathBuf,
}

impl Places {
    /// Takes in what was told of a record. What cannot be read is said.
    fn learn(&self, erasure: &mut Erasure) -> Vec<String> {
        let mut unread = Vec::new();
        if let Some(log) = &self.log {
            unread.extend(
                log.learn(erasure).err().map(|error| format!("the event log cannot be read: {error}")),
            );
        }
        if let Some(outbox) = &self.outbox {
            unread.extend(outbox.learn(erasure).err().map(|error| error.to_string()));
        }
        unread
    }

    /// Takes away what names them: the log last, since it may be needed to know the names, should this be done again.
    fn forget(&self, erasure: &Erasure, unread: Vec<String>, say: &mut dyn FnMut(&str)) -> Forgotten {
        let mut done = Forgotten { left: unread, ..Forgotten::default() };
        done.left.extend(self.unopened.clone());
        let shown = |paths: Vec<PathBuf>| paths.into_iter().map(|path| path.display().to_string());
        say("recordings");
        match bundles::forget(&self.recordings, erasure) {
            Ok(count) => done.recordings = count,
            Err(error) => done.left.push(format!("recordings: {error}")),
        }
        if let Some(outbox) = &self.outbox {
            say("outbox");
            match outbox.forget(erasure) {
                Ok(forgotten) => {
                    (done.outbox_events, done.refused_events) = (forgotten.events, forgotten.refused);
                    done.not_looked_into.extend(shown(forgotten.not_looked_into));
                }
                Err(error) => done.left.push(error.to_string()),
            }
        }
        if let Some(log) = &self.log {
            say("event log");
            match log.forget(erasure) {
                Ok(forgotten) => {
                    done.log_entries = forgotten.entries;
                    done.not_looked_into.extend(shown(forgotten.not_looked_into));
                }
                Err(error) => done.left.push(format!("the event log: {error}")),
            }
        }
        done
    }

    /// Whether the log has less than the outbox.
    fn is_log_behind(&self) -> bool {
        use crate::sinks::Backlog as _;
        match (&self.outbox, &self.log) {
            (Some(outbox), Some(_)) => outbox.cursor(LOG) < outbox.latest(),
            _ => false,
        }
    }
}

/// Forgetting in a running daemon, which knows by now that they are not enrolled any more. Goes on to its end also when
/// nobody waits for the answer.
pub(in crate::cmds) fn work(places: Places, mut erasure: Erasure, clock: Arc<dyn Clock>) -> Work {
    Box::new(move |talk: &mut dyn Talk| {
        let mut step = 0;
        let mut say = |what: &str| {
            step += 1;
            // Whoever asked hears that it goes on; should they have gone, it goes on all the same.
            let _or_gone = talk.say(&Answer::Progress { message: what.to_owned(), taken: step, wanted: 4 });
        };
        say("what is under way");
        let began = clock.now();
        std::thread::sleep(SETTLE);
        while places.is_log_behind() && clock.now().since(began) < LOG_WITHIN {
            std::thread::sleep(SETTLE / 10);
        }
        let unread = places.learn(&mut erasure);
        let report = places.forget(&erasure, unread, &mut say);
        tracing::info!(
            record = erasure.record(),
            outbox_events = report.outbox_events,
            refused_events = report.refused_events,
            recordings = report.recordings,
            log_entries = report.log_entries,
            left = report.left.len(),
            "somebody was forgotten"
        );
        Answer::Forgotten { report }
    })
}

/// Outbox and log of a daemon that does not run, held so that it cannot start meanwhile.
pub(super) struct Own {
    places: Places,
    log: Option<EventLog>,
    clock: Arc<dyn Clock>,
}

impl Own {
    /// Opens what is there, and creates nothing.
    ///
    /// # Errors
    /// [`Exit::Busy`] if a daemon holds it.
    pub(super) fn open(config: &Config) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (say, said) = notices();
        let events = &config.events;
        let log = match events.log.as_deref().filter(|path| path.as_os_str() != "-") {
            Some(path) if log_exists(path).or_else(none_if_missing).or_exit(Exit::NoInput)? => {
                Some(EventLog::open(path, Rotation::new(events), &clock, &say).or_exit(Exit::Busy)?)
            }
            _ => None,
        };
        let outbox = match Outbox::is_in(&events.outbox.folder) {
            true => {
                let keys = outbox_keys(events, log.is_some());
                let outbox = Outbox::open(&events.outbox, &keys, Arc::clone(&clock), say.clone());
                Some(Arc::new(outbox.map_err(outbox_failure)?))
            }
            false => None,
        };
        said.try_iter().for_each(|message| eprintln!("facewarden: {message}"));
        let keeper = log.as_ref().and_then(EventLog::keeper);
        let places = Places { outbox, unopened: None, log: keeper, recordings: config.debug.folder.clone() };
        Ok(Self { places, log, clock })
    }

    /// Tells of the removal what the daemon would have told, and forgets.
    pub(super) fn forget(&self, mut erasure: Erasure, groups: Vec<crate::domain::GroupId>) -> Forgotten {
        let mut unread = self.places.learn(&mut erasure);
        if !erasure.is_removal_told() {
            let record = erasure.record().to_owned();
            let told = self.tell(EventKind::PersonRemoved { record, groups });
            unread.extend(told.err().map(|error| format!("the removal is not in the event log: {error}")));
        }
        let done = self.places.forget(&erasure, unread, &mut |_| ());
        if let Some(outbox) = &self.places.outbox {
            outbox.rest();
        }
        done
    }

    /// Where the log has all that the outbox has, into both; else the log gets it from there when the daemon starts.
    fn tell(&self, kind: EventKind) -> io::Result<()> {
        use crate::sinks::Backlog as _;
        let at = self.clock.wall(self.clock.now());
        let ms = u64::try_from(at.0.as_millisecond()).unwrap_or(0);
        let id = ulid::Ulid::from_parts(ms, ulid::Ulid::generate().random());
        let event = Event { schema: SCHEMA, id, at, kind };
        let outbox = self.places.outbox.as_ref();
        let is_in_step = outbox.is_none_or(|outbox| {
            let newest = self.log.as_ref().and_then(EventLog::last_id);
            let has = newest.and_then(|id| outbox.seq_of(id).ok().flatten());
            has.unwrap_or_else(|| outbox.cursor(LOG)) >= outbox.latest()
        });
        if let Some(outbox) = outbox {
            outbox.store(&[Arc::new(event.clone())]);
        }
        match &self.places.log {
            Some(log) if is_in_step => {
                log.append(&event)?;
                if let Some(outbox) = outbox {
                    outbox.advance(LOG, outbox.latest());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn none_if_missing(error: io::Error) -> io::Result<bool> {
    if error.kind() == io::ErrorKind::NotFound { Ok(false) } else { Err(error) }
}

/// Whether two ways of writing lead to one folder.
pub(in crate::cmds) fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}
