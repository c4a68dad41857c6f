//! Whom a bulk enrolment is about: read from a folder of folders, or from a list.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::cmds::exit::{Exit, Failure, OrExit};
use crate::cmds::pictures::{Entry, is_picture, natural, pictures};
use crate::domain::{GroupId, PersonId};

/// The columns of a list.
const COLUMNS: [&str; 5] = ["name", "picture", "groups", "display_name", "external_id"];
/// What is between two groups in one field.
const BETWEEN_GROUPS: char = ';';

/// Somebody to be enrolled.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) person: PersonId,
    pub(super) pictures: Vec<Entry>,
    /// They are put into these.
    pub(super) groups: BTreeSet<GroupId>,
    pub(super) display_name: Option<String>,
    pub(super) external_id: Option<String>,
}

impl Wanted {
    fn new(person: PersonId) -> Self {
        Self { person, pictures: Vec::new(), groups: BTreeSet::new(), display_name: None, external_id: None }
    }
}

/// Whom a folder or a list names, in its order; nobody twice.
///
/// # Errors
/// If it cannot be read, or anything in it cannot be: then nobody is to be enrolled, so that a mistake in a list is
/// found before half of it is done.
pub(super) fn read(from: &Path) -> Result<Vec<Wanted>, Failure> {
    let wanted = if from.is_dir() { folders(from)? } else { list(from)? };
    if wanted.is_empty() {
        return Err(Failure::new(Exit::NoInput, format!("{} names nobody", from.display())));
    }
    Ok(wanted)
}

fn folders(from: &Path) -> Result<Vec<Wanted>, Failure> {
    let entries = || -> std::io::Result<Vec<(String, PathBuf)>> {
        let mut entries = Vec::new();
        for entry in from.read_dir()? {
            let entry = entry?;
            entries.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        Ok(entries)
    };
    let mut entries = entries()
        .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", from.display()))
        .or_exit(Exit::NoInput)?;
    entries.retain(|(name, _)| !name.starts_with('.'));
    entries.sort_by(|a, b| natural(&a.0, &b.0).then_with(|| a.1.cmp(&b.1)));
    let mut found = Found::default();
    for (_, path) in entries {
        if path.is_dir() {
            let bad = |why: &dyn std::fmt::Display| {
                Failure::new(Exit::Usage, format!("the folder {} names nobody: {why}", path.display()))
            };
            // A name with another character in its place would be another name.
            let name =
                path.file_name().and_then(|name| name.to_str()).ok_or_else(|| bad(&"it is not UTF-8"))?;
            let person = PersonId::new(name).map_err(|error| bad(&error))?;
            found.of(&person).pictures.extend(pictures(&[path]));
        } else if is_picture(&path) {
            // It would be left out without a word.
            let message = format!(
                "{} is in no person's folder: move it into one that is called as the person is",
                path.display()
            );
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    Ok(found.wanted)
}

fn list(from: &Path) -> Result<Vec<Wanted>, Failure> {
    let text = std::fs::read_to_string(from)
        .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", from.display()))
        .or_exit(Exit::NoInput)?;
    let folder = from.parent().unwrap_or(Path::new(""));
    parse(&text, folder).map_err(|(line, why)| {
        Failure::new(Exit::Usage, format!("{}, line {line}: {why}; nobody was enrolled", from.display()))
    })
}

/// Reads a list; an error comes with the number of its line.
fn parse(text: &str, folder: &Path) -> Result<Vec<Wanted>, (u64, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let at = |error: &csv::Error| error.position().map_or(1, |position| line_of(text, position));
    let columns =
        columns(reader.headers().map_err(|error| (at(&error), in_words(&error)))?).map_err(|why| (1, why))?;
    let mut found = Found::default();
    for row in reader.records() {
        let row = row.map_err(|error| (at(&error), in_words(&error)))?;
        let line = row.position().map_or(0, |position| line_of(text, position));
        found.take(&row, &columns, folder).map_err(|why| (line, why))?;
    }
    Ok(found.wanted)
}

/// The line of a row: where the reader began to look for it, less the empty lines before it.
fn line_of(text: &str, position: &csv::Position) -> u64 {
    let from = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let before = text.as_bytes().get(from..).unwrap_or_default();
    let empty = before.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).filter(|byte| **byte == b'\n');
    position.line() + empty.count() as u64
}

fn in_words(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("there are {len} fields instead of {expected_len}")
        }
        _ => error.to_string(),
    }
}

/// Where each column is.
fn columns(header: &csv::StringRecord) -> Result<HashMap<&'static str, usize>, String> {
    let expected = || format!("the first line names the columns: {}", COLUMNS.join(", "));
    let mut columns = HashMap::new();
    for (at, name) in header.iter().enumerate() {
        let Some(known) = COLUMNS.into_iter().find(|known| *known == name) else {
            return Err(format!("there is no column `{name}`; {}", expected()));
        };
        if columns.insert(known, at).is_some() {
            return Err(format!("the column `{name}` is there twice"));
        }
    }
    match ["name", "picture"].into_iter().find(|needed| !columns.contains_key(needed)) {
        Some(missing) => Err(format!("the column `{missing}` is missing; {}", expected())),
        None => Ok(columns),
    }
}

/// Those that were found, each once.
#[derive(Default)]
struct Found {
    wanted: Vec<Wanted>,
    by_name: BTreeMap<PersonId, usize>,
}

impl Found {
    fn of(&mut self, person: &PersonId) -> &mut Wanted {
        let next = self.wanted.len();
        let at = *self.by_name.entry(person.clone()).or_insert(next);
        if at == next {
            self.wanted.push(Wanted::new(person.clone()));
        }
        &mut self.wanted[at]
    }

    fn take(
        &mut self,
        row: &csv::StringRecord,
        columns: &HashMap<&str, usize>,
        folder: &Path,
    ) -> Result<(), String> {
        let field = |name: &str| columns.get(name).and_then(|at| row.get(*at)).unwrap_or_default();
        let person = PersonId::new(field("name")).map_err(|error| format!("`name`: {error}"))?;
        let wanted = self.of(&person);
        if field("picture").is_empty() {
            return Err("`picture` is empty".to_owned());
        }
        // A whole path stays as it is when it is joined.
        wanted.pictures.push(Ok(folder.join(field("picture"))));
        for group in field("groups").split(BETWEEN_GROUPS).filter(|group| !group.trim().is_empty()) {
            wanted.groups.insert(GroupId::new(group).map_err(|error| format!("`groups`: {error}"))?);
        }
        once(&mut wanted.display_name, "display_name", field("display_name"), &person)?;
        once(&mut wanted.external_id, "external_id", field("external_id"), &person)
    }
}

/// Takes what is said once, or again the same.
fn once(known: &mut Option<String>, what: &str, said: &str, person: &PersonId) -> Result<(), String> {
    match known {
        _ if said.is_empty() => Ok(()),
        Some(known) if known != said => {
            Err(format!("`{what}` of {person} is `{said}` here and `{known}` on a line before"))
        }
        _ => {
            *known = Some(said.to_owned());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<Vec<String>, String> {
        let one = |w: &Wanted| {
            let pictures: Vec<_> =
                w.pictures.iter().map(|p| p.as_ref().unwrap().display().to_string()).collect();
            let groups: Vec<_> = w.groups.iter().map(GroupId::as_str).collect();
            let [called, id] = [&w.display_name, &w.external_id].map(|field| field.as_deref().unwrap_or("-"));
            format!("{} {} {} {called} {id}", w.person, pictures.join("+"), groups.join("+"))
        };
        let wanted = parse(text, Path::new("/l")).map_err(|(line, why)| format!("{line}: {why}"))?;
        Ok(wanted.iter().map(one).collect())
    }

    #[test]
    fn a_list_says_who_and_which_pictures() {
        let text = "\u{feff}name,picture,groups,display_name,external_id\r\n\
                    Ada,a/1.jpg,staff;\"third floor\",Countess,17\r\n\
                    \"Doe, J.\",/abs/d.jpg,,,\r\n\
                    Ada , a/2.jpg ,board,,17\r\n";
        assert_eq!(
            said(&text.replace("\"third floor\"", "third floor")).unwrap(),
            ["Ada /l/a/1.jpg+/l/a/2.jpg board+staff+third floor Countess 17", "Doe, J. /abs/d.jpg  - -"]
        );
        assert_eq!(said("picture,name\nx.png,Bob\n").unwrap(), ["Bob /l/x.png  - -"]);
        assert_eq!(said("name,picture\n").unwrap(), [""; 0]);
    }

    #[test]
    fn what_cannot_be_is_named_with_its_line() {
        for (text, expected) in [
            ("", "1: the column `name` is missing"),
            ("Ada,a.jpg\n", "1: there is no column `Ada`"),
            ("name,image\n", "1: there is no column `image`"),
            ("name,groups\n", "1: the column `picture` is missing"),
            ("name,picture,name\n", "1: the column `name` is there twice"),
            ("name,picture\nAda,a.jpg\nBob\n", "3: there are 1 fields instead of 2"),
            ("name,picture\n\n,b.jpg\n", "3: `name`: a name cannot be empty"),
            ("name,picture\nAda,\n", "2: `picture` is empty"),
            (
                "name,picture,external_id\nAda,a.jpg,1\nBob,b.jpg,1\nAda,c.jpg,2\n",
                "4: `external_id` of Ada is `2` here and `1` on a line before",
            ),
        ] {
            let problem = said(text).unwrap_err();
            assert!(problem.starts_with(expected), "{text:?}: {problem}");
        }
    }

    #[test]
    fn a_folder_has_a_folder_a_person() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["Person 10", "Person 2", "Empty", ".hidden"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        for name in ["Person 10/2.jpg", "Person 10/10.jpg", "Person 2/a.png", "notes.txt", ".hidden/x.jpg"] {
            std::fs::write(path(name), "").unwrap();
        }
        let wanted = read(folder.path()).unwrap();
        let said: Vec<_> = wanted.iter().map(|w| (w.person.as_str(), w.pictures.len())).collect();
        assert_eq!(said, [("Empty", 0), ("Person 2", 1), ("Person 10", 2)]);
        std::fs::write(path("lost.jpg"), "").unwrap();
        let lost = read(folder.path()).unwrap_err();
        assert!(
            lost.exit == Exit::Usage && lost.to_string().contains("lost.jpg is in no person's folder"),
            "{lost}"
        );
    }
}
