//! `eval` and `calibrate-site` as users run them: the real program on the test pictures, put into folders by person.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::support::Ran;

/// A folder with pictures by person, and a cache of its own.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures");
        for (person, files) in [
            ("Obama", &["obama.jpg", "obama2.jpg", "obama3.jpg"][..]),
            ("Biden", &["biden.jpg"]),
            ("Gauss", &["gauss.jpg"]),
            ("Cat", &["cat.jpg"]),
        ] {
            let folder = site.path("people").join(person);
            fs::create_dir_all(&folder).unwrap();
            for file in files {
                fs::copy(pictures.join(file), folder.join(file)).unwrap();
            }
        }
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the program in the folder, with its cache there.
    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_facewarden"));
        command.args(arguments).current_dir(self.0.path()).env("XDG_CACHE_HOME", self.path("cache"));
        Ran::of(&mut command)
    }

    fn cache_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("cache/facewarden")).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

#[test]
fn all_pairs_of_a_folder_and_a_second_run_from_the_cache() {
    let site = Site::new();
    let first = site.run(&["eval", "--all-pairs", "people", "--json", "--plots", "plots"]).code(0).json();
    assert_eq!((first["images"].as_u64(), first["people"].as_u64()), (Some(6), Some(4)));
    assert_eq!(first["failures_to_acquire"], 1, "the cat has no face");
    assert_eq!((first["genuine_pairs"].as_u64(), first["impostor_pairs"].as_u64()), (Some(3), Some(7)));
    assert_eq!(first["eer"], 0.0, "these are easy");
    assert_eq!(first["images_embedded"], 6);
    assert_eq!(first["tar_at_far"][2]["supported"], false, "seven pairs say nothing about 1 in 10,000");
    assert_eq!(first["tar_at_far"][2]["tar"], Value::Null);
    for chart in ["roc.svg", "det.svg", "scores.svg"] {
        let text = fs::read_to_string(site.path("plots").join(chart)).unwrap();
        assert!(text.starts_with("<svg") && text.ends_with("</svg>\n") && !text.contains("NaN"), "{chart}");
    }

    let cache = site.cache_files();
    assert_eq!(cache.len(), 1);
    assert_eq!(fs::metadata(&cache[0]).unwrap().permissions().mode() & 0o777, 0o600);
    let second = site.run(&["eval", "--all-pairs", "people", "--json"]).code(0).json();
    assert_eq!((second["images_embedded"].as_u64(), &second["ms_per_image"]), (Some(0), &Value::Null));
    assert_eq!(second["eer_threshold"], first["eer_threshold"]);

    // Damage is said, the file is kept, and the result is the same.
    let mut bytes = fs::read(&cache[0]).unwrap();
    bytes[500] ^= 1;
    fs::write(&cache[0], bytes).unwrap();
    let third = site.run(&["eval", "--all-pairs", "people"]).code(0);
    assert!(third.err.contains("is damaged"), "{}", third.err);
    assert!(third.out.contains("6 new pictures"), "{}", third.out);
    assert_eq!(site.cache_files().len(), 2);

    let forgotten = site.run(&["eval", "--forget-cache"]).code(0);
    assert!(forgotten.out.starts_with("2 files"), "{}", forgotten.out);
    assert!(site.cache_files().is_empty());
    // So few people make no curve, and nothing is written.
    let refused = site.run(&["eval", "--all-pairs", "people", "--no-cache", "--calibrate"]).code(2);
    assert!(refused.err.contains("no calibration"), "{}", refused.err);
    assert!(site.cache_files().is_empty());
}

#[test]
fn a_list_of_pairs() {
    let site = Site::new();
    let list = "file_a,file_b,same\nObama/obama.jpg,Obama/obama2.jpg,1\nObama/obama.jpg,Obama/obama3.jpg,true\n\
                Obama/obama.jpg,Biden/biden.jpg,0\nBiden/biden.jpg,Gauss/gauss.jpg,0\n";
    fs::write(site.path("pairs.csv"), list).unwrap();
    let arguments = ["eval", "pairs.csv", "--images", "people", "--json"];
    let report = site.run(&arguments).code(0).json();
    assert_eq!((report["pairs"].as_u64(), report["people"].as_u64()), (Some(4), Some(3)));
    // Two folds have pairs; the threshold of the one is a little too high for the genuine pair of the other.
    assert_eq!((report["accuracy"].as_f64(), report["accuracy_std"].as_f64()), (Some(0.75), Some(0.25)));
    assert_eq!(report["eer"], 0.0);
    assert_eq!(report["failures_to_acquire"], 0);
    let text = site.run(&arguments[..4]).code(0).out;
    assert!(text.contains("accuracy              75.00 ± 25.00 %"), "{text}");
    assert!(text.contains("came from the cache"), "{text}");

    // A file that cannot be read is named, or skipped where that is wanted.
    fs::write(site.path("people/Gauss/gauss.jpg"), "no picture").unwrap();
    let refused = site.run(&arguments).code(66);
    assert!(refused.err.contains("gauss.jpg"), "{}", refused.err);
    let skipped =
        site.run(&["eval", "pairs.csv", "--images", "people", "--json", "--skip-unreadable"]).code(0);
    assert!(skipped.err.contains("gauss.jpg"), "{}", skipped.err);
    assert_eq!(skipped.json()["failures_to_acquire"], 1);
    assert_eq!(skipped.json()["unreadable"].as_array().unwrap().len(), 1);

    fs::write(site.path("pairs.csv"), format!("{list}a.jpg,b.jpg,maybe\n")).unwrap();
    let refused = site.run(&arguments).code(65);
    assert!(refused.err.contains("pairs.csv, line 6: `same` is `maybe`"), "{}", refused.err);
    site.run(&["eval", "nowhere.csv"]).code(66);
    site.run(&["eval"]).code(64);
    site.run(&["eval", "pairs.csv", "--all-pairs", "people"]).code(64);
}

#[test]
fn look_alikes_of_a_gallery_are_found() {
    let site = Site::new();
    let gallery = ["--gallery", "enrolled"];
    for (name, file) in [
        ("Ann", "people/Obama/obama.jpg"),
        ("Bob", "people/Biden/biden.jpg"),
        ("Cy", "people/Gauss/gauss.jpg"),
    ] {
        site.run(&[&["enroll", name, file][..], &gallery].concat()).code(0);
    }
    let none = site.run(&[&["calibrate-site"][..], &gallery].concat()).code(0);
    assert!(none.out.contains("No two people reach the threshold."), "{}", none.out);
    let report = site.run(&[&["calibrate-site", "--json"][..], &gallery].concat()).code(0).json();
    assert_eq!((report["comparisons"].as_u64(), report["false_matches"].as_u64()), (Some(3), Some(0)));
    let predicted = report["predicted"]["rate"].as_f64().unwrap();
    assert!((1e-6..1e-3).contains(&predicted), "{predicted}");
    assert!(report["high"].as_f64().unwrap() > 0.5, "three comparisons say little");
    let strict = ["calibrate-site", "--json", "--false-match-rate", "1e-6"];
    let strict = site.run(&[&strict[..], &gallery].concat()).code(0).json();
    assert!(strict["threshold"].as_f64().unwrap() > report["threshold"].as_f64().unwrap());

    // One person under two names.
    let again = ["enroll", "Dan", "people/Obama/obama2.jpg", "--force"];
    let enrolled = site.run(&[&again[..], &gallery].concat());
    if enrolled.code != 0 {
        site.run(&[&again[..3], &gallery].concat()).code(0);
    }
    let found = site.run(&[&["calibrate-site"][..], &gallery].concat()).code(1);
    assert!(found.out.contains("Ann and Dan") && found.out.contains("min_margin"), "{}", found.out);
    let found = site.run(&[&["calibrate-site", "--json"][..], &gallery].concat()).code(1).json();
    assert_eq!(found["look_alikes"].as_array().unwrap().len(), 1);
    let suggested = found["suggested_threshold"].as_f64().unwrap();
    assert!(suggested > found["look_alikes"][0]["similarity"].as_f64().unwrap());
    let apart = format!("{suggested}");
    site.run(&[&["calibrate-site", "--threshold", &apart][..], &gallery].concat()).code(0);
    site.run(&["calibrate-site", "--gallery", "nowhere"]).code(66);
}
