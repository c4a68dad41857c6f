//! `facewarden persons`: who is enrolled, and changing it. Shows no embedding and no score.

mod refreshed;
mod report;
mod set;
mod times;
mod words;

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use serde::Serialize;

use super::enroll::Coverage;
use super::exit::{Exit, Failure, OrExit, Outcome};
use super::gallery::{GalleryArgs, store_failure, warn_of_refused};
use crate::clock::{Clock, SystemClock, WallTime};
use crate::config::{Config, People};
use crate::domain::{Barred, GroupId, ModelDigest, PersonId, SiteRules};
use crate::inference::ModelFolders;
use crate::store::{Loaded, Person, Store};
pub(super) use report::{Models, PersonReport};
pub(super) use set::Change;
use set::local_zone;

/// Arguments of `persons`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    gallery: GalleryArgs,
    /// Print JSON instead of words
    #[arg(long, global = true)]
    json: bool,
    /// The embedder in use: templates of others are pointed out
    #[arg(long, global = true, default_value = "faceplugin512", value_name = "NAME")]
    model: String,
    /// Configuration file, whose `people` hold for everybody [default: /etc/facewarden/facewarden.yaml, where there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder with models and their manifests [default: see the README]
    #[arg(long, global = true, value_name = "DIR")]
    models_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Everybody who is enrolled; damaged files are named, and the exit code is 65 if there are any
    List {
        /// Only those whose time, or whose consent, is over
        #[arg(long)]
        expired: bool,
    },
    /// One person: what is known of them, whether they may be let in now, where each template came from, and what to add
    Show {
        /// Who
        name: PersonId,
    },
    /// Give somebody another name
    Rename {
        /// The name so far
        old: PersonId,
        /// The new name
        new: PersonId,
    },
    /// Say how somebody is called, when they may be let in, and what they agreed to
    ///
    /// What is not named stays as it is. A running daemon takes it over by itself.
    Set(Box<SetArgs>),
    /// Put somebody into groups or take them out; sinks can be told about groups alone
    #[command(arg_required_else_help = true)]
    Groups {
        /// Who
        name: PersonId,
        /// Into this group; can be given several times
        #[arg(long, value_name = "GROUP", required_unless_present = "remove")]
        add: Vec<GroupId>,
        /// Out of this group; can be given several times
        #[arg(long, value_name = "GROUP")]
        remove: Vec<GroupId>,
    },
    /// What was added to somebody by itself after very sure matches (`enrolment.refresh`), or take all of that away
    Refreshed {
        /// Who
        name: PersonId,
        /// Take it away: what was enrolled stays
        #[arg(long)]
        remove: bool,
    },
    /// Remove somebody from the gallery. What was told and recorded of them stays: see `facewarden forget`
    Remove {
        /// Who
        name: PersonId,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    /// Who
    name: PersonId,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Serialize)]
struct ListReport {
    gallery: PathBuf,
    persons: Vec<PersonReport>,
    not_used: Vec<RefusedReport>,
}

#[derive(Debug, Serialize)]
struct RefusedReport {
    file: String,
    problem: String,
}

/// Runs `persons`.
///
/// # Errors
/// If the gallery cannot be read or changed, or there is nobody of that name.
pub fn run(args: &Args) -> Outcome {
    let store = args.gallery.open()?;
    let house = &House::of(args)?;
    match &args.action {
        Action::List { expired } => list(args, &store, house, *expired),
        Action::Show { name } => {
            let person = store.get(name).map_err(store_failure)?;
            show(args, &person, &models(args), house)
        }
        Action::Set(what) => set(args, &store, house, &what.name, &what.change),
        Action::Rename { old, new } => {
            let clock = SystemClock::new();
            let person = store.rename(old, new, clock.wall(clock.now())).map_err(store_failure)?;
            done(args, &person, &format!("{old} is now {new}\n"), house)
        }
        Action::Groups { name, add, remove } => {
            let clock = SystemClock::new();
            let now = clock.wall(clock.now());
            let person = store.regroup(name, (add, remove), now).map_err(store_failure)?;
            done(args, &person, &format!("{name} is in {}\n", groups(&person)), house)
        }
        Action::Refreshed { name, remove } => refreshed::run(args, &store, house, name, *remove),
        Action::Remove { name, yes } => remove(args, &store, house, name, *yes),
    }
}

/// What the configuration says that concerns people, and the time.
struct House {
    people: People,
    rules: SiteRules,
    zone: TimeZone,
    now: WallTime,
}

impl House {
    /// The settings of the file that was named, or of the usual one where there is one.
    ///
    /// # Errors
    /// If the file that was named cannot be used. Of the usual one that is said, and nothing of it holds.
    fn of(args: &Args) -> Result<Self, Failure> {
        let usual = Path::new(super::DEFAULT_CONFIG);
        let people = match &args.config {
            Some(path) => Config::read(path).map_err(super::config_failure)?.people,
            None if usual.try_exists().is_ok_and(|there| !there) => People::default(),
            None => Config::read(usual).map(|config| config.people).unwrap_or_else(|error| {
                eprintln!(
                    "facewarden: which consent, holidays and time zone `people` asks for is not known, and what is said \
                     here goes without: {error}"
                );
                People::default()
            }),
        };
        let clock = SystemClock::new();
        let zone = local_zone(None, &people)?;
        Ok(Self { rules: people.rules(), people, zone, now: clock.wall(clock.now()) })
    }

    fn barred(&self, person: &Person) -> Option<Barred> {
        person.particulars.barred_at(self.now, &self.rules)
    }
}

fn models(args: &Args) -> Models {
    Models::known(&ModelFolders::or_usual(args.models_dir.clone()), &args.model)
}

fn set(args: &Args, store: &Store, house: &House, name: &PersonId, change: &Change) -> Outcome {
    if *change == Change::default() {
        return Err(Failure::new(Exit::Usage, "say what to change, such as --valid-until 2026-12-31"));
    }
    let before = store.get(name).map_err(store_failure)?;
    let after = change.apply(&before.particulars, &house.people, house.now)?;
    if after == before.particulars {
        return done(args, &before, &format!("nothing changed: {name} is known like that\n"), house);
    }
    let person = change.write((store, name), &house.people, house.now)?;
    let barred = house.barred(&person);
    let text = format!(
        "{name}\n{}  now       {}\n",
        words::lines(&person.particulars, &house.zone),
        words::now(barred)
    );
    done(args, &person, &text, house)
}

fn list(args: &Args, store: &Store, house: &House, only_expired: bool) -> Outcome {
    let mut loaded = store.load().map_err(store_failure)?;
    let models = models(args);
    if only_expired {
        let is_over = |barred| matches!(barred, Barred::Expired | Barred::ConsentEnded);
        loaded.people.retain(|person| house.barred(person).is_some_and(is_over));
    }
    let exit = if warn_of_refused(&loaded) == 0 { Exit::Ok } else { Exit::Data };
    if args.json {
        let not_used = loaded
            .refused
            .iter()
            .map(|file| RefusedReport { file: file.file_name.clone(), problem: file.problem.to_string() });
        say_json(&ListReport {
            gallery: store.folder().to_owned(),
            persons: loaded.people.iter().map(|p| models.report(p, house.barred(p))).collect(),
            not_used: not_used.collect(),
        })?;
        return Ok(exit);
    }
    if only_expired && loaded.people.is_empty() {
        super::say("nobody's time is over\n")?;
        return Ok(exit);
    }
    super::say(&table(&loaded, &models, house))?;
    if let Some(what) = &models.trouble {
        eprintln!("facewarden: which templates can be used is not known: {what}");
    }
    Ok(exit)
}

fn table(loaded: &Loaded, models: &Models, house: &House) -> String {
    if loaded.people.is_empty() {
        return match loaded.refused.len() {
            0 => "nobody is enrolled\n".to_owned(),
            count => format!("nobody can be recognised: {count} files are not used\n"),
        };
    }
    let rows: Vec<[String; 5]> = loaded.people.iter().map(|p| row(p, models, house)).collect();
    let head = ["NAME", "TEMPLATES", "ENROLLED", "LET IN NOW", "MODEL"].map(str::to_owned);
    let width = |at: usize| rows.iter().chain([&head]).map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    for [name, templates, enrolled, let_in, model] in [&head].into_iter().chain(&rows) {
        let [a, b, c, d] = widths;
        text.push_str(&format!("{name:a$}  {templates:>b$}  {enrolled:c$}  {let_in:d$}  {model}\n"));
    }
    text
}

fn row(person: &Person, models: &Models, house: &House) -> [String; 5] {
    let mut digests: Vec<ModelDigest> = person.templates.iter().map(|t| t.embedding.model()).collect();
    digests.sort_unstable();
    digests.dedup();
    let names: Vec<String> = digests.iter().map(|d| models.name_of(*d)).collect();
    let mut model = names.join(", ");
    match models.foreign(person) {
        Some(0) | None => {}
        Some(count) if count == person.templates.len() => {
            model.push_str("  (another model: not recognised, enrol again)");
        }
        Some(count) => model.push_str(&format!("  ({count} of another model, not used)")),
    }
    let let_in = words::in_short(house.barred(person));
    [person.name.to_string(), person.templates.len().to_string(), day(person.created), let_in, model]
}

fn show(args: &Args, person: &Person, models: &Models, house: &House) -> Outcome {
    if args.json {
        return say_json(&models.report(person, house.barred(person)));
    }
    let mut text = format!(
        "{}\n  enrolled  {}\n  changed   {}\n  groups    {}\n{}  now       {}\n  file      {}\n  templates\n",
        person.name,
        person.created,
        person.changed,
        groups(person),
        words::lines(&person.particulars, &house.zone),
        words::now(house.barred(person)),
        person.id.file_name()
    );
    for template in &person.templates {
        let digest = template.embedding.model();
        let other = match models.current {
            Some(current) if current != digest => "  (another model: not used)",
            _ => "",
        };
        let source = template.source.as_deref().unwrap_or("(source not recorded)").escape_debug();
        let by_itself = match template.is_refreshed {
            true => format!("  (added by itself, {})", template.added.0.strftime("%Y-%m-%d")),
            false => String::new(),
        };
        let model = models.name_of(digest);
        text.push_str(&format!("    {}  {model}  {source}{by_itself}{other}\n", day(template.added)));
    }
    text.push_str(&format!("  coverage\n{}", Coverage::of(person, models.current)));
    super::say(&text)
}

/// The groups of somebody in words.
fn groups(person: &Person) -> String {
    let names: Vec<&str> = person.groups.iter().map(GroupId::as_str).collect();
    if names.is_empty() { "no group".to_owned() } else { names.join(", ") }
}

fn remove(args: &Args, store: &Store, house: &House, name: &PersonId, yes: bool) -> Outcome {
    if !yes {
        let person = store.get(name).map_err(store_failure)?;
        if !confirmed(&person)? {
            return Err(Failure::new(Exit::No, format!("{name} was not removed")));
        }
    }
    let person = store.remove(name).map_err(store_failure)?.person;
    done(args, &person, &format!("{name} was removed\n"), house)
}

/// Asks on the terminal; without one, `--yes` is needed.
fn confirmed(person: &Person) -> Result<bool, Failure> {
    let (name, count) = (&person.name, person.templates.len());
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let message = format!("{name} was not removed: nobody can be asked here, say --yes");
        return Err(Failure::new(Exit::Usage, message));
    }
    let mut answer = String::new();
    eprint!("Remove {name} with {count} templates for good? [y/N] ");
    std::io::stderr().flush().or_exit(Exit::CannotWrite)?;
    stdin.lock().read_line(&mut answer).or_exit(Exit::NoInput)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn done(args: &Args, person: &Person, text: &str, house: &House) -> Outcome {
    if args.json { say_json(&models(args).report(person, house.barred(person))) } else { super::say(text) }
}

fn say_json(report: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(report).or_exit(Exit::Internal)?;
    super::say(&format!("{text}\n"))
}

fn day(time: WallTime) -> String {
    time.0.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
