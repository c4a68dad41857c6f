//! `forget --check`: whether what a receipt says is still so.

use std::path::Path;

use super::receipt::Receipt;
use crate::cmds::exit::{Exit, Failure, OrExit, Outcome};
use crate::cmds::gallery::store_failure;
use crate::config::Config;
use crate::sinks::{log_exists, traces, verify};
use crate::store::{RecordId, Store};

/// Looks, and says what it finds.
///
/// # Errors
/// [`Exit::Data`] if the receipt was changed or the log is not as it was written.
pub(super) fn run(path: &Path, config: &Config, store: &Store) -> Outcome {
    let receipt = Receipt::read(path)?;
    let record = RecordId::parse(&receipt.record)
        .ok_or_else(|| Failure::new(Exit::Data, format!("{} names no record", path.display())))?;
    let mut found = Findings::default();
    found.good("the receipt is as it was written");
    if !receipt.left.is_empty() {
        found.bad(&format!(
            "it says that something was left: `facewarden forget --record {record}` finishes it"
        ));
    }
    gallery(store, record, &mut found)?;
    log(config, record, &mut found)?;
    crate::cmds::say(&found.text)?;
    Ok(if found.is_bad { Exit::No } else { Exit::Ok })
}

#[derive(Default)]
struct Findings {
    text: String,
    is_bad: bool,
}

impl Findings {
    fn good(&mut self, what: &str) {
        self.text.push_str(&format!("ok   {what}\n"));
    }

    fn bad(&mut self, what: &str) {
        self.text.push_str(&format!("NOT  {what}\n"));
        self.is_bad = true;
    }
}

fn gallery(store: &Store, record: RecordId, found: &mut Findings) -> Result<(), Failure> {
    let files = store.files_of(record).map_err(store_failure)?;
    let loaded = store.load().map_err(store_failure)?;
    if loaded.people.iter().any(|person| person.id == record) {
        found.bad("somebody with that record is enrolled");
    }
    for file in &files {
        found.bad(&format!("{} is a file of that record", file.display()));
    }
    if files.is_empty() {
        found.good("the gallery and its quarantine have no file of that record");
    }
    Ok(())
}

fn log(config: &Config, record: RecordId, found: &mut Findings) -> Result<(), Failure> {
    let log = config.events.log.as_deref().filter(|log| log.as_os_str() != "-");
    let Some(log) = log.filter(|log| log_exists(log).unwrap_or(true)) else {
        found.good("no event log is kept, so that nothing can be looked for in one");
        return Ok(());
    };
    let report = verify(log, None).map_err(crate::cmds::log::failure)?;
    found.good(&format!(
        "the event log is as it was written; {} of its {} entries were forgotten",
        report.forgotten, report.entries
    ));
    let traces = traces(log, &record.to_string()).or_exit(Exit::NoInput)?;
    if traces.named > 0 {
        found.bad(&format!("{} entries of the event log name the person of that record", traces.named));
    }
    if traces.removed + traces.forgotten == 0 {
        found.bad("the event log knows nothing of that record: it is another log, or what it had was deleted by age");
    } else {
        found.good(&format!(
            "it has {} entries of the removal of that record, and {} in the place of entries that named the person",
            traces.removed, traces.forgotten
        ));
    }
    Ok(())
}
