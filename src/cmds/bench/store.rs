//! The gallery on disk with very many people: how long a start takes, and one change.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::super::exit::{Exit, Failure, OrExit};
use super::super::gallery::store_failure;
use super::{Row, median};
use crate::clock::{Clock, Moment, SystemClock, WallTime};
use crate::domain::{Embedding, ModelDigest, PersonId};
use crate::store::{KeyRing, Person, RecordId, Store, Template, encode};

const PEOPLE: u32 = 100_000;
const DIMENSION: usize = 512;
const RUNS: usize = 5;

pub(super) fn measure() -> Result<Vec<Row>, Failure> {
    let outer = tempfile::tempdir().or_exit(Exit::CannotWrite)?;
    let store = Store::open_or_create(outer.path().join("enrolled")).map_err(store_failure)?;
    let clock = SystemClock::new();
    let now = clock.wall(clock.now());
    let first = PersonId::new("somebody").or_exit(Exit::Internal)?;
    // Makes the key.
    store.enrol(&first, vec![template(0, now)?], now).map_err(store_failure)?;
    let keys = store.key().read().map_err(|error| store_failure(error.into()))?;
    let mut bytes = 0;
    for number in 1..PEOPLE {
        bytes += put(store.folder(), &keys, number, now)?;
    }
    let mut loads = Vec::new();
    for _ in 0..RUNS {
        let start = clock.now();
        let people = store.load().map_err(store_failure)?.people.len();
        loads.push(since(&clock, start));
        if people != PEOPLE as usize {
            return Err(Failure::new(Exit::Internal, format!("{people} people were read of {PEOPLE}")));
        }
    }
    let mut looks = Vec::new();
    for _ in 0..RUNS {
        let start = clock.now();
        store.fingerprint().map_err(store_failure)?;
        looks.push(since(&clock, start));
    }
    let mut changes = store.begin().map_err(store_failure)?;
    let mut writes = Vec::new();
    for number in 0..20 {
        let name = PersonId::new(&format!("new {number}")).or_exit(Exit::Internal)?;
        let added = vec![template(number, now)?];
        let start = clock.now();
        changes.enrol(&name, added, now).map_err(store_failure)?;
        writes.push(since(&clock, start));
    }
    let people = format!("gallery of {PEOPLE} people on disk, encrypted");
    Ok(vec![
        Row::new(
            &format!("{people}: read and decrypt all, file cache warm"),
            format!("{:.2} s", median(loads)),
            "<= 1 s",
        ),
        Row::new(
            &format!("{people}: see whether it changed"),
            format!("{:.0} ms", median(looks) * 1000.0),
            "",
        ),
        Row::new(
            &format!("{people}: write one person, durably"),
            format!("{:.1} ms", median(writes) * 1000.0),
            "",
        ),
        Row::new(
            "one person with one template on disk",
            format!("{} bytes", bytes / u64::from(PEOPLE - 1)),
            "",
        ),
    ])
}

fn since(clock: &SystemClock, start: Moment) -> f64 {
    let passed: Duration = clock.now().since(start);
    passed.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "any number does")]
fn template(number: u32, now: WallTime) -> Result<Template, Failure> {
    let values = (0..DIMENSION).map(|at| ((number as usize * 31 + at * 17) % 97) as f32 - 48.5).collect();
    let embedding = Embedding::new(ModelDigest([1; 32]), values).or_exit(Exit::Internal)?;
    Ok(Template { source: Some("photo.jpg".into()), ..Template::new(embedding, 0.7, now) })
}

/// As the store does it, but for the waiting until the disk has it.
fn put(folder: &Path, keys: &KeyRing, number: u32, now: WallTime) -> Result<u64, Failure> {
    let person = Person {
        id: RecordId(ulid::Ulid(u128::from(number))),
        name: PersonId::new(&format!("Person {number}")).or_exit(Exit::Internal)?,
        groups: Vec::new(),
        particulars: Default::default(),
        created: now,
        changed: now,
        templates: vec![template(number, now)?],
    };
    let bytes = encode(&person, &keys.current).or_exit(Exit::Internal)?;
    let path = folder.join(person.id.file_name());
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).or_exit(Exit::CannotWrite)?;
    file.write_all(&bytes).or_exit(Exit::CannotWrite)?;
    Ok(fs::metadata(&path).or_exit(Exit::CannotWrite)?.len())
}
