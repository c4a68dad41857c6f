//! `enroll --from`: many people at once, and going on where an earlier run was ended.
//!
//! A person is judged and written after the last of their pictures was looked at, whole or not at all. For that the
//! whole gallery is read while nobody else can change it; so that this does not grow with the square of the number of
//! people, several are written together as soon as it takes long. What an earlier run did is seen from the gallery: each template's note has the mark of the file it was made from ([`FileMark`]), so there is
//! no second list of who is enrolled that could be wrong. Pictures that were of no use are known again from the report.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::Args;
use super::choose::Fate;
use super::likeness::Conflict;
use super::mark::FileMark;
use super::picture::{Portrait, Refusal, take};
use super::record::{Line, Outcome as Became, Record};
use super::roster::{self, Wanted};
use super::standard::{Judged, Standard, nobody_yet, template};
use super::writing::{Written, write};
use crate::clock::{Clock, Moment, SystemClock, WallTime};
use crate::cmds::engine::{Engine, read_photo, read_photo_file};
use crate::cmds::exit::{Exit, Failure, OrExit, Outcome};
use crate::cmds::gallery::{store_failure, warn_of_refused};
use crate::cmds::pictures::Entry;
use crate::cmds::survey::{Crew, Look};
use crate::domain::{ModelDigest, PersonId};
use crate::inference::Embedder as _;
use crate::store::{Changes, Person, Store};
use crate::sys::signals::{Shutdown, watch};

/// What came of it all; what `--json` prints.
#[derive(Debug, Default, Serialize)]
struct Tally {
    /// Enrolled now, or with more templates now.
    people_enrolled: usize,
    /// Had all that their pictures are good for.
    people_known: usize,
    /// Something speaks against them.
    people_in_conflict: usize,
    /// None of their pictures can be used.
    people_without_picture: usize,
    templates_added: usize,
    /// Looked at in this run: what an earlier one settled is not.
    pictures_looked_at: usize,
    /// Pictures that are templates since an earlier run.
    pictures_known: usize,
    /// Pictures that add nothing to those that are.
    pictures_left_out: usize,
    pictures_refused: usize,
    /// Of people who were not enrolled because of these, or of others of their pictures.
    pictures_in_conflict: usize,
    /// How many of those for which reason.
    reasons: BTreeMap<String, usize>,
    dry_run: bool,
}

/// Somebody whose pictures are being looked at.
struct Sitting {
    wanted: Wanted,
    /// Pictures whose matter is settled.
    lines: Vec<Line>,
    taken: Vec<(PathBuf, Portrait)>,
    /// So many are still to be looked at.
    left: usize,
}

/// A bulk enrolment under way.
struct Bulk<'a> {
    args: &'a Args,
    book: Book,
    standard: Standard,
    model: ModelDigest,
    /// Everybody who was enrolled at the beginning: what need not be looked at.
    known: HashMap<PersonId, Person>,
    record: Record,
    tally: Tally,
    /// Those whose pictures were looked at, and who are not written yet.
    waiting: Vec<Sitting>,
    /// When they are to be written.
    due: Moment,
    clock: Arc<SystemClock>,
}

/// Where people are written.
enum Book {
    Gallery(Store),
    /// Nowhere: who would be enrolled.
    Dry(Vec<Person>),
}

/// Enrols everybody whom a folder or a list names.
///
/// # Errors
/// If the list or the gallery cannot be read, the gallery or the report cannot be written, or it was interrupted. A
/// picture that cannot be used, or a person whom something speaks against, ends nothing: the exit code says so.
pub(super) fn run(args: &Args, from: &Path) -> Outcome {
    let wanted = roster::read(from)?;
    let (book, people) = open(args)?;
    let shutdown = Shutdown::new();
    let _signals = watch(shutdown.clone()).or_exit(Exit::Internal)?;
    let mut crew = Crew::load(&args.models, wanted.iter().map(|one| one.pictures.len()).sum())?;
    let mut bulk = Bulk::new(args, book, people, crew.engine()?)?;

    let (mut sittings, mut entries, mut owners) = (Vec::new(), Vec::new(), Vec::new());
    for wanted in wanted {
        let (sitting, to_look) = bulk.begin(wanted);
        if to_look.is_empty() {
            bulk.waiting.push(sitting);
            continue;
        }
        owners.extend(std::iter::repeat_n(sittings.len(), to_look.len()));
        entries.extend(to_look);
        sittings.push(Some(sitting));
    }
    let mut owners = owners.into_iter();
    crew.look_at_all("enrolling", &entries, |path, look| {
        if shutdown.is_requested() {
            bulk.write()?;
            return Err(bulk.interrupted());
        }
        let Some(sitting) = owners.next().and_then(|at| sittings.get_mut(at)) else { return Ok(()) };
        let Some(mut under_way) = sitting.take() else { return Ok(()) };
        bulk.look_at(&mut under_way, path, look);
        if under_way.left > 0 {
            *sitting = Some(under_way);
            return Ok(());
        }
        bulk.waiting.push(under_way);
        if bulk.clock.now() >= bulk.due { bulk.write() } else { Ok(()) }
    })?;
    bulk.write()?;
    bulk.end()
}

/// Where to write, and who is enrolled. On a dry run the gallery may be still to be made.
fn open(args: &Args) -> Result<(Book, Vec<Person>), Failure> {
    let store = match args.dry_run {
        true if !args.gallery.folder().exists() => return Ok((Book::Dry(Vec::new()), Vec::new())),
        true => args.gallery.open()?,
        false => args.gallery.open_to_enrol()?,
    };
    let loaded = store.load().map_err(store_failure)?;
    warn_of_refused(&loaded);
    let book = if args.dry_run { Book::Dry(loaded.people.clone()) } else { Book::Gallery(store) };
    Ok((book, loaded.people))
}

impl<'a> Bulk<'a> {
    fn new(args: &'a Args, book: Book, people: Vec<Person>, engine: &Engine) -> Result<Self, Failure> {
        let model = engine.embedder.digest();
        let detect_side = args.models.detect_side.map(|side| format!("@{side}")).unwrap_or_default();
        let models = format!("{}{detect_side} {model}", args.models.detector);
        Ok(Self {
            args,
            book,
            standard: Standard::of(&engine.embedder, args.most),
            model,
            known: people.into_iter().map(|person| (person.name.clone(), person)).collect(),
            record: Record::open(args.report.as_deref(), models, args.dry_run)?,
            tally: Tally { dry_run: args.dry_run, ..Tally::default() },
            waiting: Vec::new(),
            due: Moment::default(),
            clock: Arc::new(SystemClock::new()),
        })
    }

    /// Settles what need not be looked at; gives the rest.
    fn begin(&self, mut wanted: Wanted) -> (Sitting, Vec<Entry>) {
        let marks: Vec<FileMark> =
            self.known.get(&wanted.person).map(|person| self.marks(person)).unwrap_or_default();
        let (mut lines, mut to_look) = (Vec::new(), Vec::new());
        for entry in std::mem::take(&mut wanted.pictures) {
            match entry.as_deref().ok().and_then(|path| self.settled(&wanted.person, path, &marks)) {
                Some(line) => lines.push(line),
                None => to_look.push(entry),
            }
        }
        (Sitting { wanted, lines, taken: Vec::new(), left: to_look.len() }, to_look)
    }

    /// What is known of a picture from an earlier run; `None` if it is to be looked at.
    fn settled(&self, person: &PersonId, path: &Path, marks: &[FileMark]) -> Option<Line> {
        if marks.is_empty() && !self.record.knows(person) {
            return None;
        }
        let mark = FileMark::of(&read_photo_file(path).ok()?);
        if marks.contains(&mark) {
            return Some(self.record.line(person, path, Some(mark), Became::Known));
        }
        let before = self.record.before(person, mark)?;
        let holds = match before.outcome {
            Became::Refused => !self.args.force,
            // It was left out because of templates: are they still there?
            Became::LeftOut => !marks.is_empty(),
            Became::Enrolled | Became::Known | Became::Conflict => false,
        };
        holds.then(|| Line { picture: path.to_owned(), ..before.clone() })
    }

    /// The files that somebody's templates of this model were made from.
    fn marks(&self, person: &Person) -> Vec<FileMark> {
        let own = person.templates.iter().filter(|template| template.embedding.model() == self.model);
        own.filter_map(|template| FileMark::split(template.source.as_deref()?).1).collect()
    }

    /// Takes the face of a picture, or notes why not.
    fn look_at(&mut self, sitting: &mut Sitting, path: &Path, look: Look) {
        sitting.left -= 1;
        self.tally.pictures_looked_at += 1;
        let mark = read_photo_file(path).ok().map(|bytes| FileMark::of(&bytes));
        let refused = match (look, mark) {
            (Ok(seen), Some(mark)) => match take(path, seen, mark, self.args.force) {
                Ok(portrait) => {
                    // Once more from the file: this is asked for rarely, and keeping every picture in memory costs always.
                    let picture = self.args.keep_photos.then(|| read_photo(path).ok()).flatten();
                    let portrait = match &picture {
                        Some(picture) => portrait.with_photo(picture),
                        None => portrait,
                    };
                    return sitting.taken.push((path.to_owned(), portrait));
                }
                // Which one cannot be said for one picture among many.
                Err(refusal @ Refusal::SeveralFaces(_)) => (
                    refusal.code(),
                    format!("there are {} faces: enrol it by itself, with --face", refusal.faces().len()),
                ),
                Err(refusal) => (refusal.code(), refusal.to_string()),
            },
            (Err(message), _) => ("unreadable", message),
            (Ok(_), None) => ("unreadable", "it is gone".to_owned()),
        };
        let (code, message) = refused;
        self.complain(&format!("not taken: {}: {message}", path.display()));
        sitting.lines.push(Line {
            reason: Some(code.to_owned()),
            message: Some(message),
            ..self.record.line(&sitting.wanted.person, path, mark, Became::Refused)
        });
    }

    /// Judges and writes all who wait for it.
    fn write(&mut self) -> Result<(), Failure> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let begun = self.clock.now();
        let mut book = std::mem::replace(&mut self.book, Book::Dry(Vec::new()));
        let settle = |mut page: Page<'_, '_>| {
            waiting.into_iter().try_for_each(|sitting| self.settle(sitting, &mut page))
        };
        let written = match &mut book {
            Book::Gallery(store) => store
                .begin()
                .map_err(store_failure)
                .and_then(|mut changes| settle(Page::Gallery(&mut changes))),
            Book::Dry(people) => settle(Page::Dry(people)),
        };
        self.book = book;
        // A tenth of the time at most goes into this.
        let now = self.clock.now();
        self.due = now + now.since(begun) * 9;
        written
    }

    /// Judges and writes what was taken of a person, and notes what became of each picture.
    fn settle(&mut self, sitting: Sitting, page: &mut Page<'_, '_>) -> Result<(), Failure> {
        let Sitting { wanted, mut lines, taken, .. } = sitting;
        let person = &wanted.person;
        let (paths, portraits): (Vec<PathBuf>, Vec<Portrait>) = taken.into_iter().unzip();
        if lines.is_empty() && paths.is_empty() {
            self.complain(&format!("{person} was not enrolled: there is no picture"));
        }
        let now = self.clock.wall(self.clock.now());
        match page.write(&self.standard, (person, &portraits), self.args.force, now)? {
            Written::Refused(judged) => {
                self.tally.people_in_conflict += 1;
                for conflict in judged.conflicts() {
                    self.complain(&format!("{person} was not enrolled: {conflict}"));
                }
                let line =
                    |(path, portrait): (&PathBuf, &Portrait)| self.conflict(person, path, portrait, &judged);
                lines.extend(paths.iter().zip(&portraits).map(line));
            }
            Written::Done(judged, changed) => {
                for conflict in judged.conflicts() {
                    self.complain(&format!("taken all the same: {conflict}"));
                }
                for ((path, portrait), fate) in paths.iter().zip(&portraits).zip(&judged.fates) {
                    lines.push(self.became(person, path, portrait, fate));
                }
                page.describe(&wanted, now)?;
                match (changed.is_some(), page.is_enrolled(person)) {
                    (true, _) => self.tally.people_enrolled += 1,
                    (false, true) => self.tally.people_known += 1,
                    (false, false) => self.tally.people_without_picture += 1,
                }
            }
        }
        lines.iter().for_each(|line| self.count(line));
        self.record.write(&lines)
    }

    fn became(&self, person: &PersonId, path: &Path, portrait: &Portrait, fate: &Fate) -> Line {
        let outcome = if *fate == Fate::Kept { Became::Enrolled } else { Became::LeftOut };
        Line {
            reason: fate.code().map(str::to_owned),
            message: fate.code().map(|_| fate.to_string()),
            ..self.record.line(person, path, portrait.mark, outcome)
        }
    }

    fn conflict(&self, person: &PersonId, path: &Path, portrait: &Portrait, judged: &Judged) -> Line {
        let about = judged.conflicts().iter().find(|conflict| conflict.source_name() == portrait.source);
        let reason = match about {
            None => "held_back",
            Some(Conflict::SomebodyElse { .. }) => "somebody_else",
            Some(Conflict::Unlike { .. }) => "unlike",
        };
        Line {
            reason: Some(reason.to_owned()),
            message: about.map(ToString::to_string),
            other: about.and_then(Conflict::other).cloned(),
            ..self.record.line(person, path, portrait.mark, Became::Conflict)
        }
    }

    fn count(&mut self, line: &Line) {
        let tally = &mut self.tally;
        *match line.outcome {
            Became::Enrolled => &mut tally.templates_added,
            Became::Known => &mut tally.pictures_known,
            Became::LeftOut => &mut tally.pictures_left_out,
            Became::Refused => &mut tally.pictures_refused,
            Became::Conflict => &mut tally.pictures_in_conflict,
        } += 1;
        if let Some(reason) = &line.reason {
            *tally.reasons.entry(reason.clone()).or_default() += 1;
        }
    }

    fn complain(&self, text: &str) {
        if !self.args.json {
            eprintln!("facewarden: {text}");
        }
    }

    fn interrupted(&self) -> Failure {
        let done = self.tally.people_enrolled + self.tally.people_known;
        let message = format!("interrupted; {done} people are enrolled: start it again to go on");
        Failure::new(Exit::CannotTell, message)
    }

    fn end(self) -> Outcome {
        let tally = &self.tally;
        if self.args.json {
            let text = serde_json::to_string_pretty(tally).or_exit(Exit::Internal)?;
            crate::cmds::say(&format!("{text}\n"))?;
        } else {
            crate::cmds::say(&tally.to_string())?;
        }
        let complaints = tally.pictures_refused + tally.pictures_in_conflict + tally.people_without_picture;
        Ok(match tally.people_enrolled + tally.people_known {
            _ if complaints == 0 => Exit::Ok,
            0 if tally.people_in_conflict == 0 => Exit::CannotTell,
            _ => Exit::No,
        })
    }
}

/// The gallery, held for changes; or what stands for it on a dry run.
enum Page<'p, 'store> {
    Gallery(&'p mut Changes<'store>),
    Dry(&'p mut Vec<Person>),
}

impl Page<'_, '_> {
    fn is_enrolled(&self, name: &PersonId) -> bool {
        match self {
            Self::Gallery(changes) => changes.get(name).is_some(),
            Self::Dry(people) => people.iter().any(|person| person.name == *name),
        }
    }

    /// Writes what is good, unless something speaks against it.
    fn write(
        &mut self,
        standard: &Standard,
        (name, portraits): (&PersonId, &[Portrait]),
        force: bool,
        now: WallTime,
    ) -> Result<Written, Failure> {
        let people = match self {
            Self::Gallery(changes) => return write(changes, standard, (name, portraits), force, now),
            Self::Dry(people) => people,
        };
        let judged = standard.judge(name, portraits, people).or_exit(Exit::Data)?;
        if !judged.conflicts().is_empty() && !force {
            return Ok(Written::Refused(judged));
        }
        let templates: Vec<_> = judged.kept(portraits).map(|portrait| template(portrait, now)).collect();
        if templates.is_empty() {
            return Ok(Written::Done(judged, None));
        }
        let at = people.iter().position(|person| person.name == *name).unwrap_or_else(|| {
            people.push(nobody_yet(name, now));
            people.len() - 1
        });
        people[at].templates.extend(templates);
        Ok(Written::Done(judged, Some(people[at].templates.len())))
    }

    /// Notes of somebody enrolled what the list says beside the pictures.
    fn describe(&mut self, wanted: &Wanted, now: WallTime) -> Result<(), Failure> {
        let Self::Gallery(changes) = self else { return Ok(()) };
        let Some(known) = changes.get(&wanted.person) else { return Ok(()) };
        let mut groups: BTreeSet<_> = known.groups.iter().cloned().collect();
        groups.extend(wanted.groups.iter().cloned());
        let groups: Vec<_> = groups.into_iter().collect();
        let mut particulars = known.particulars.clone();
        particulars.display_name = wanted.display_name.clone().or(particulars.display_name);
        particulars.external_id = wanted.external_id.clone().or(particulars.external_id);
        if groups == known.groups && particulars == known.particulars {
            return Ok(());
        }
        let change = |person: &mut Person| (person.groups, person.particulars) = (groups, particulars);
        changes.change(&wanted.person, now, change).map_err(store_failure)?;
        Ok(())
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let would = if self.dry_run { "dry run, nothing was written; would be: " } else { "" };
        writeln!(
            f,
            "{would}{} people enrolled or added to with {} templates, {} enrolled before",
            self.people_enrolled, self.templates_added, self.people_known
        )?;
        if self.people_in_conflict + self.people_without_picture > 0 {
            writeln!(
                f,
                "not enrolled: {} people whom something speaks against, {} without a picture that can be used",
                self.people_in_conflict, self.people_without_picture
            )?;
        }
        let left =
            self.pictures_known + self.pictures_left_out + self.pictures_refused + self.pictures_in_conflict;
        if left > 0 {
            write!(
                f,
                "pictures: {} enrolled before, {} that add nothing, {} refused, {} of people not enrolled",
                self.pictures_known, self.pictures_left_out, self.pictures_refused, self.pictures_in_conflict
            )?;
            let reasons: Vec<String> =
                self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            writeln!(
                f,
                "{}",
                if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) }
            )?;
        }
        Ok(())
    }
}
