//! What is evaluated: lists of pairs, and folders of people.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::super::exit::{Exit, Failure};
use super::super::pictures::pictures;

/// Two pictures, and whether they show one person. Indexes into [`PairList::files`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) a: usize,
    pub(crate) b: usize,
    pub(crate) is_same: bool,
}

/// Pairs of pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PairList {
    /// Every picture once, as the list names it.
    pub(crate) files: Vec<PathBuf>,
    /// In the order of the list.
    pub(crate) pairs: Vec<Pair>,
    /// For each pair its fold, from 0, if the list says so.
    pub(crate) folds: Option<Vec<usize>>,
}

/// A line that is not what it should be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub(crate) struct BadLine {
    line: usize,
    message: String,
}

fn bad<T>(line: usize, message: impl Into<String>) -> Result<T, BadLine> {
    Err(BadLine { line, message: message.into() })
}

/// Gives each file its index.
#[derive(Default)]
struct Files(BTreeMap<PathBuf, usize>);

impl Files {
    fn index(&mut self, path: PathBuf) -> usize {
        let next = self.0.len();
        *self.0.entry(path).or_insert(next)
    }

    fn into_list(self) -> Vec<PathBuf> {
        let mut by_index: Vec<(usize, PathBuf)> = self.0.into_iter().map(|(path, at)| (at, path)).collect();
        by_index.sort_unstable();
        by_index.into_iter().map(|(_, path)| path).collect()
    }
}

/// Reads a list of pairs: `file_a,file_b,same` with that header, or the form of LFW's own `pairs.txt`.
pub(crate) fn parse(text: &str) -> Result<PairList, BadLine> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.lines().next().unwrap_or_default();
    let numbers: Option<Vec<usize>> = first.split_whitespace().map(|word| word.parse().ok()).collect();
    let list = match numbers.as_deref() {
        Some(&[pairs]) if pairs > 0 => lfw(text, 1, pairs)?,
        Some(&[folds, pairs]) if folds > 0 && pairs > 0 => lfw(text, folds, pairs)?,
        _ => csv(text)?,
    };
    if list.pairs.is_empty() {
        return bad(1, "there are no pairs");
    }
    Ok(list)
}

fn csv(text: &str) -> Result<PairList, BadLine> {
    let (mut files, mut pairs) = (Files::default(), Vec::new());
    // An empty file has a first line too: one that is no header.
    let lines = if text.is_empty() { "\n" } else { text }.lines();
    for (line, content) in (1..).zip(lines) {
        let fields = match fields(content) {
            Some(fields) => fields,
            None => return bad(line, "a quotation mark is not closed"),
        };
        if line == 1 {
            if fields != ["file_a", "file_b", "same"] {
                let message = "the first line must be `file_a,file_b,same` (or that of LFW's pairs.txt: one or two \
                               numbers)";
                return bad(line, message);
            }
            continue;
        }
        if content.trim().is_empty() {
            continue;
        }
        let [a, b, same] = &fields[..] else {
            return bad(line, format!("there are {} fields instead of 3", fields.len()));
        };
        let is_same = match same.to_ascii_lowercase().as_str() {
            "1" | "true" => true,
            "0" | "false" => false,
            _ => return bad(line, format!("`same` is `{same}` and must be 1, 0, true or false")),
        };
        if a.is_empty() || b.is_empty() {
            return bad(line, "the name of a file is missing");
        }
        pairs.push(Pair { a: files.index(a.into()), b: files.index(b.into()), is_same });
    }
    Ok(PairList { files: files.into_list(), pairs, folds: None })
}

/// The fields of a line; in quotation marks where they hold commas. `None` if a mark is not closed.
fn fields(line: &str) -> Option<Vec<String>> {
    let (mut fields, mut is_quoted) = (vec![String::new()], false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                fields.last_mut()?.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            c => fields.last_mut()?.push(c),
        }
    }
    (!is_quoted).then(|| fields.iter().map(|field| field.trim().to_owned()).collect())
}

/// Each fold has `per_fold` pairs of one person and then as many of two.
fn lfw(text: &str, folds: usize, per_fold: usize) -> Result<PairList, BadLine> {
    let (mut files, mut pairs, mut of_fold) = (Files::default(), Vec::new(), Vec::new());
    for (line, content) in (1..).zip(text.lines()).skip(1) {
        let words: Vec<&str> = content.split_whitespace().collect();
        let number = |word: &str| match word.parse::<u32>() {
            Ok(number @ 1..) => Ok(number),
            _ => bad(line, format!("`{word}` is not the number of a picture")),
        };
        let mut file = |name: &str, number: u32| {
            if Path::new(name).components().any(|c| !matches!(c, Component::Normal(_))) {
                return bad(line, format!("`{name}` is not a name"));
            }
            Ok(files.index(format!("{name}/{name}_{number:04}.jpg").into()))
        };
        let pair = match words[..] {
            [] => continue,
            [name, i, j] => Pair { a: file(name, number(i)?)?, b: file(name, number(j)?)?, is_same: true },
            [a, i, b, j] => Pair { a: file(a, number(i)?)?, b: file(b, number(j)?)?, is_same: false },
            _ => return bad(line, "a line is `NAME i j`, or `NAME i NAME2 j`"),
        };
        let fold = pairs.len() / per_fold.saturating_mul(2);
        let should_be_same = pairs.len() % (2 * per_fold) < per_fold;
        if pair.is_same != should_be_same {
            let wanted = if should_be_same { "of one person" } else { "of two people" };
            let message = format!(
                "a pair {wanted} should be here: the first line says {per_fold} of one person and as many of two \
                 in each part"
            );
            return bad(line, message);
        }
        pairs.push(pair);
        of_fold.push(fold);
    }
    if pairs.len() != folds.saturating_mul(per_fold).saturating_mul(2) {
        let message =
            format!("there are {} pairs, and the first line says {folds} x 2 x {per_fold}", pairs.len());
        return bad(1, message);
    }
    Ok(PairList { files: files.into_list(), pairs, folds: (folds > 1).then_some(of_fold) })
}

/// Reads a file of pairs.
pub(crate) fn read_pairs(path: &Path) -> Result<PairList, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::new(Exit::NoInput, format!("cannot read {}: {e}", path.display())))?;
    parse(&text).map_err(|e| Failure::new(Exit::Data, format!("{}, {e}", path.display())))
}

impl PairList {
    /// Who is on each file: the first folder of its name. `None` if that says nothing about people: a file in no
    /// folder, a pair of one person from two folders, or a pair of two people from one.
    pub(crate) fn people(&self) -> Option<Vec<usize>> {
        let mut indexes: BTreeMap<&std::ffi::OsStr, usize> = BTreeMap::new();
        let mut people = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let mut parts = file.components().filter_map(|part| match part {
                Component::Normal(name) => Some(name),
                _ => None,
            });
            let (folder, Some(_)) = (parts.next()?, parts.next()) else { return None };
            let next = indexes.len();
            people.push(*indexes.entry(folder).or_insert(next));
        }
        let agrees = |pair: &Pair| (people[pair.a] == people[pair.b]) == pair.is_same;
        self.pairs.iter().all(agrees).then_some(people)
    }
}

/// Pictures by person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct People {
    /// All files, those of one person together.
    pub(super) files: Vec<PathBuf>,
    /// How many of them belong to each person, in order.
    pub(super) counts: Vec<usize>,
}

/// Reads a folder with a sub-folder for each person.
pub(super) fn read_people(folder: &Path) -> Result<People, Failure> {
    if !folder.is_dir() {
        return Err(Failure::new(Exit::NoInput, format!("{} is not a folder", folder.display())));
    }
    let mut people = People { files: Vec::new(), counts: Vec::new() };
    let mut last = None;
    for entry in pictures(&[folder.to_owned()]) {
        let file = entry.map_err(|e| Failure { exit: Exit::NoInput, error: e.into() })?;
        let inside = file.strip_prefix(folder).unwrap_or(&file);
        let mut parts = inside.components();
        let (Some(person), Some(_)) = (parts.next(), parts.next()) else {
            let message = format!(
                "{} is in no person's folder: every person needs a folder of their own",
                file.display()
            );
            return Err(Failure::new(Exit::Data, message));
        };
        let person = person.as_os_str().to_owned();
        if last.as_ref() != Some(&person) {
            people.counts.push(0);
            last = Some(person);
        }
        if let Some(count) = people.counts.last_mut() {
            *count += 1;
        }
        people.files.push(file);
    }
    if people.counts.len() < 2 {
        let message = format!(
            "{} has pictures of {} people: at least two sub-folders with pictures are needed, one for each person",
            folder.display(),
            people.counts.len()
        );
        return Err(Failure::new(Exit::NoInput, message));
    }
    Ok(people)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_csv_file_is_read() {
        let text =
            "\u{feff}file_a, file_b ,same\r\nA/1.jpg,A/2.jpg,1\n\nA/1.jpg,\"B/x, y \"\"z\"\".jpg\",False\n";
        let list = parse(text).unwrap();
        assert_eq!(list.files, ["A/1.jpg", "A/2.jpg", "B/x, y \"z\".jpg"].map(PathBuf::from));
        assert_eq!(list.pairs, [Pair { a: 0, b: 1, is_same: true }, Pair { a: 0, b: 2, is_same: false }]);
        assert_eq!((list.folds.clone(), list.people()), (None, Some(vec![0, 0, 1])));
    }

    #[test]
    fn lfw_s_own_list_is_read_with_its_folds() {
        let text = "2\t1\nAnn 1 2\nAnn 1 Bob 12\nCy\t3\t4\nCy 3 Ann 1\n";
        let list = parse(text).unwrap();
        assert_eq!(list.files[2], PathBuf::from("Bob/Bob_0012.jpg"));
        assert_eq!(list.folds, Some(vec![0, 0, 1, 1]));
        assert_eq!(list.people().unwrap().len(), list.files.len());
        let one = parse("1\nAnn 1 2\nAnn 1 Bob 12\n").unwrap();
        assert_eq!((one.pairs.len(), one.folds), (2, None));
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, expected) in [
            ("", "line 1: the first line must be"),
            ("a.jpg,b.jpg,1\n", "line 1: the first line must be"),
            ("file_a,file_b,same\n", "line 1: there are no pairs"),
            ("file_a,file_b,same\na,b\n", "line 2: there are 2 fields"),
            ("file_a,file_b,same\na,b,1\na,b,yes\n", "line 3: `same` is `yes`"),
            ("file_a,file_b,same\na,,1\n", "line 2: the name of a file is missing"),
            ("file_a,file_b,same\n\"a,b,1\n", "line 2: a quotation mark"),
            ("0 0\n", "line 1: the first line must be"),
            ("1\nAnn 1 x\n", "line 2: `x` is not the number"),
            ("1\nAnn 1 0\n", "line 2: `0` is not the number"),
            ("1\nAnn 1\n", "line 2: a line is"),
            ("1\n../Ann 1 2\n", "line 2: `../Ann` is not a name"),
            ("1\nAnn 1 Bob 2\n", "line 2: a pair of one person should be here"),
            ("1\nAnn 1 2\nAnn 1 3\n", "line 3: a pair of two people should be here"),
            ("2 1\nAnn 1 2\nAnn 1 Bob 2\n", "line 1: there are 2 pairs, and the first line says 2 x 2 x 1"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn folders_that_are_not_people_are_not_taken_for_them() {
        let people = |lines: &str| parse(&format!("file_a,file_b,same\n{lines}")).unwrap().people();
        assert_eq!(people("a/1,b/2,1\n"), None);
        assert_eq!(people("a/1,a/2,0\n"), None);
        assert_eq!(people("1,2,0\n"), None);
        assert_eq!(people("./a/1,a/2,1\nb/1,a/2,0"), Some(vec![0, 0, 1]));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a1 ,\n\"0/\t]{0,60}") {
            if let Ok(list) = parse(&text) {
                prop_assert!(list.pairs.iter().all(|pair| pair.a.max(pair.b) < list.files.len()));
            }
            if let Ok(list) = parse(&format!("file_a,file_b,same\n{text}")) {
                prop_assert!(!list.pairs.is_empty());
            }
        }
    }
}
