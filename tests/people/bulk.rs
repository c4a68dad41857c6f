//! Enrolling many people at once, and going on after an end.

use super::*;

impl Gallery {
    /// A folder beside the gallery with copies of test pictures: folder, then file, then which picture.
    fn photos(&self, copies: &[(&str, &str, &str)]) -> PathBuf {
        let from = self.outer.path().join("photos");
        for (person, name, original) in copies {
            fs::create_dir_all(from.join(person)).unwrap();
            fs::copy(picture(original), from.join(person).join(name)).unwrap();
        }
        from
    }

    fn bulk(&self, from: &Path, rest: &[&str]) -> Ran {
        self.run(&[&["enroll", "--from", from.to_str().unwrap()], rest].concat())
    }

    fn report(&self) -> PathBuf {
        self.outer.path().join("report.jsonl")
    }

    /// Person, picture's name, outcome and reason of each line.
    fn reported(&self) -> Vec<String> {
        let text = fs::read_to_string(self.report()).unwrap();
        let line = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
            let name = Path::new(&text("picture")).file_name().unwrap().to_str().unwrap().to_owned();
            format!("{} {name} {} {}", text("person"), text("outcome"), text("reason"))
        };
        text.lines().map(line).collect()
    }
}

const SOME: [(&str, &str, &str); 6] = [
    ("Barack", "1.jpg", "obama.jpg"),
    ("Barack", "2.jpg", "obama2.jpg"),
    ("Collins", "suit.png", "astronaut.png"),
    ("Joe", "a.jpg", "biden.jpg"),
    ("Joe", "cat.jpg", "cat.jpg"),
    ("Many", "m.jpg", "solvay1927.jpg"),
];

#[test]
fn a_folder_of_folders_is_enrolled_and_a_second_run_looks_at_nothing_again() {
    let gallery = Gallery::new();
    let from = gallery.photos(&SOME);
    let report = gallery.report();
    let with_report = ["--report", report.to_str().unwrap()];
    let first = gallery.bulk(&from, &with_report).exits(1);
    let first =
        first.complains("cat.jpg: no face found").prints("3 people enrolled or added to with 4 templates");
    let first = first.prints("1 without a picture that can be used").prints("1 no_face, 1 several_faces");
    assert!(!first.out.contains("--face"), "{}", first.out);
    let expected = named(&[("Barack", 2), ("Collins", 1), ("Joe", 1)]);
    assert_eq!(gallery.people(), expected);
    let mut lines = gallery.reported();
    lines.sort();
    assert_eq!(
        lines,
        [
            "Barack 1.jpg enrolled -",
            "Barack 2.jpg enrolled -",
            "Collins suit.png enrolled -",
            "Joe a.jpg enrolled -",
            "Joe cat.jpg refused no_face",
            "Many m.jpg refused several_faces",
        ]
    );
    assert_eq!(fs::metadata(&report).unwrap().permissions().mode() & 0o777, 0o600);

    let before = gallery.files().iter().map(|file| fs::read(file).unwrap()).collect::<Vec<_>>();
    let again = gallery.bulk(&from, &[&with_report[..], &["--json"]].concat()).exits(1).json();
    assert_eq!((&again["pictures_looked_at"], &again["pictures_known"]), (&0.into(), &4.into()), "{again}");
    assert_eq!(gallery.reported().len(), 6, "a line a picture");
    // Without the report what was of no use is looked at again, and what is enrolled is not.
    let again = gallery.bulk(&from, &["--json"]).exits(1).json();
    assert_eq!((&again["pictures_looked_at"], &again["pictures_known"]), (&2.into(), &4.into()), "{again}");
    assert_eq!(gallery.files().iter().map(|file| fs::read(file).unwrap()).collect::<Vec<_>>(), before);

    // The gallery alone knows who is enrolled.
    gallery.run(&["persons", "remove", "Collins", "--yes"]).exits(0);
    let again = gallery.bulk(&from, &[&with_report[..], &["--json"]].concat()).exits(1).json();
    assert_eq!((&again["pictures_looked_at"], &again["people_enrolled"]), (&1.into(), &1.into()), "{again}");
    assert_eq!(gallery.people(), expected);
}

#[test]
fn one_person_under_two_names_is_found_within_a_run_and_against_the_gallery() {
    let gallery = Gallery::new();
    gallery.enroll("Joe", &["biden.jpg"]).exits(0);
    let from = gallery.photos(&[
        ("Barack", "1.jpg", "obama.jpg"),
        ("Hussein", "1.jpg", "obama2.jpg"),
        ("Robinette", "1.jpg", "biden.jpg"),
        ("Robinette", "2.jpg", "gauss.jpg"),
    ]);
    let report = gallery.report();
    let ran = gallery.bulk(&from, &["--report", report.to_str().unwrap()]).exits(1);
    let ran = ran.complains("Hussein was not enrolled: 1.jpg looks like Barack, who is enrolled already");
    let ran = ran.complains("Robinette was not enrolled: 1.jpg looks like Joe, who is enrolled already");
    ran.prints("2 people whom something speaks against");
    assert_eq!(gallery.people(), named(&[("Barack", 1), ("Joe", 1)]));
    let lines = gallery.reported();
    assert!(lines.contains(&"Hussein 1.jpg conflict somebody_else".to_owned()), "{lines:?}");
    let text = fs::read_to_string(&report).unwrap();
    assert!(text.contains(r#""other":"Barack""#), "{text}");
}

#[test]
fn a_list_gives_groups_and_names_too() {
    let gallery = Gallery::new();
    gallery.photos(&SOME);
    let list = gallery.outer.path().join("list.csv");
    let rows = "name,picture,groups,display_name,external_id\n\
                Barack,photos/Barack/1.jpg,staff;board,,\n\
                Barack,photos/Barack/2.jpg,,Mr O.,17\n\
                Joe,photos/Joe/a.jpg,,,\n\
                Gone,photos/gone.jpg,,,\n";
    fs::write(&list, rows).unwrap();
    gallery.bulk(&list, &[]).exits(1).complains("gone.jpg");
    assert_eq!(gallery.people(), named(&[("Barack", 2), ("Joe", 1)]));
    let shown = gallery.run(&["persons", "show", "Barack", "--json"]).exits(0).json();
    assert_eq!(shown["groups"], serde_json::json!(["board", "staff"]));

    fs::write(&list, rows.replace("Joe,photos/Joe/a.jpg,,,", "Joe,photos/Joe/a.jpg,,")).unwrap();
    gallery.bulk(&list, &[]).exits(64).complains("list.csv, line 4: there are 4 fields instead of 5");
    gallery.bulk(&gallery.outer.path().join("none.csv"), &[]).exits(66).complains("none.csv");
}

#[test]
fn a_dry_run_says_what_would_be_and_writes_nothing() {
    let gallery = Gallery::new();
    let from = gallery.photos(&SOME);
    let ran = gallery.bulk(&from, &["--dry-run"]).exits(1).complains("cat.jpg: no face found");
    ran.prints("dry run, nothing was written; would be: 3 people enrolled");
    assert!(!gallery.folder().exists());
}

#[test]
fn near_repeats_and_more_than_are_wanted_are_left_out() {
    let gallery = Gallery::new();
    let from = gallery.photos(&[
        ("Barack", "1.jpg", "obama.jpg"),
        ("Barack", "2.jpg", "obama2.jpg"),
        ("Barack", "3.jpg", "obama3.jpg"),
    ]);
    let photo = image::open(picture("obama.jpg")).unwrap();
    photo
        .resize(photo.width() * 9 / 10, photo.height() * 9 / 10, image::imageops::FilterType::Triangle)
        .save(from.join("Barack/copy.png"))
        .unwrap();
    let report = gallery.report();
    gallery.bulk(&from, &["--report", report.to_str().unwrap(), "--most", "2"]).exits(0);
    assert_eq!(gallery.people(), named(&[("Barack", 2)]));
    let lines = gallery.reported();
    let count = |end: &str| lines.iter().filter(|line| line.ends_with(end)).count();
    assert_eq!(
        (count("enrolled -"), count("left_out alike"), count("left_out enough")),
        (2, 1, 1),
        "{lines:?}"
    );
    gallery
        .run(&["persons", "show", "Barack"])
        .exits(0)
        .prints("coverage")
        .prints("add one more under other light");
}

#[test]
fn an_end_in_the_middle_loses_nothing() {
    let gallery = Gallery::new();
    // Many of nobody: time to end in.
    let mut copies = vec![("A", "1.jpg", "obama.jpg"), ("B", "1.jpg", "biden.jpg")];
    copies.push(("Z", "1.png", "astronaut.png"));
    let names: Vec<String> = (0..30).map(|n| format!("C{n:02}")).collect();
    copies.extend(names.iter().map(|name| (name.as_str(), "cat.jpg", "cat.jpg")));
    let from = gallery.photos(&copies);
    for signal in ["-INT", "-KILL"] {
        let mut command = gallery.command(&["enroll", "--from", from.to_str().unwrap()]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while !gallery.folder().exists() || gallery.files().len() < 2 {
            std::thread::sleep(Duration::from_millis(20));
        }
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        let output = child.wait_with_output().unwrap();
        if signal == "-INT" {
            Ran::of(output).exits(2).complains("interrupted; 2 people are enrolled: start it again to go on");
        }
        assert_eq!(gallery.people(), named(&[("A", 1), ("B", 1)]));
    }
    let rest = gallery.bulk(&from, &["--json"]).exits(1).json();
    assert_eq!((&rest["pictures_known"], &rest["people_enrolled"]), (&2.into(), &1.into()), "{rest}");
    assert_eq!(gallery.people(), named(&[("A", 1), ("B", 1), ("Z", 1)]));
}

#[test]
fn two_who_enrol_one_person_at_the_same_moment_do_not_both_succeed() {
    let gallery = Gallery::new();
    gallery.enroll("Gauss", &["gauss.jpg"]).exits(0);
    for (round, names) in [("1", ["Barack", "Hussein"]), ("2", ["Joe", "Robinette"])] {
        let files = if round == "1" { ["obama.jpg", "obama2.jpg"] } else { ["biden.jpg", "biden.jpg"] };
        let running: Vec<_> = names
            .iter()
            .zip(files)
            .map(|(name, file)| {
                let mut command = gallery.command(&["enroll", name]);
                command.arg(picture(file)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let mut exits: Vec<_> =
            running.into_iter().map(|child| child.wait_with_output().unwrap().status.code()).collect();
        exits.sort_unstable();
        assert_eq!(exits, [Some(0), Some(1)], "round {round}");
    }
    assert_eq!(gallery.people().len(), 3);
}
