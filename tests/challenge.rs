//! The active challenge, from pictures to its end: photos turned by rendering, real detectors, measured poses.
//!
//! The head is an ellipsoid with a nose; such a rendering shows a real turn only in part, so these tests say that the
//! parts fit together, not how well people are measured.

mod render;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use facewarden::clock::Moment;
use facewarden::decision::challenge::{Challenge, ChallengeFault, ChallengeSettings, Plan, Progress};
use facewarden::domain::{Detection, Pose, Prompt};
use facewarden::inference::{Detector, DetectorOptions, ModelFolders, OrtDetector, start_runtime};
use facewarden::vision::pose::pose;
use image::RgbImage;

use render::{Head, View};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn detector(name: &str) -> OrtDetector {
    start_runtime(None).unwrap();
    let folders = ModelFolders::only(root().join("models"));
    OrtDetector::load(&folders, name, DetectorOptions::default()).unwrap()
}

/// A person whose head can be turned, and how a detector sees each turn.
struct Sitter {
    head: Head,
    detector: OrtDetector,
    /// Poses are rendered and measured once.
    measured: BTreeMap<View, Option<Pose>>,
}

impl Sitter {
    fn new(picture: &str, detector_name: &str) -> Self {
        let bytes = std::fs::read(root().join("tests/pictures").join(picture)).unwrap();
        let photo = facewarden::vision::photo::decode(&bytes).unwrap();
        // Always turned about the same points, whoever looks at the pictures.
        let face = largest(detector("centerface").detect(&photo).unwrap()).unwrap();
        let head = Head::new(&photo, &face.landmarks_in_frame);
        Self { head, detector: detector(detector_name), measured: BTreeMap::new() }
    }

    /// The measured pose of the largest face.
    fn pose(&mut self, view: View) -> Option<Pose> {
        let Self { head, detector, measured } = self;
        *measured.entry(view).or_insert_with(|| {
            let face = largest(detector.detect(&head.render(view)).unwrap())?;
            pose(&face.landmarks_in_frame)
        })
    }
}

fn largest(faces: Vec<Detection>) -> Option<Detection> {
    faces.into_iter().max_by(|a, b| a.box_in_frame.area().total_cmp(&b.box_in_frame.area()))
}

/// With `FACEWARDEN_POSE_SHEET` naming a folder, the rendered poses are left there, to be looked at.
fn keep_sheet(sitter: &Sitter, views: &[View], name: &str) {
    let Some(folder) = std::env::var_os("FACEWARDEN_POSE_SHEET").map(PathBuf::from) else { return };
    let columns = u32::try_from(views.len().div_ceil(3)).unwrap();
    let mut sheet = RgbImage::new(render::SIDE * columns, render::SIDE * 3);
    for (at, view) in views.iter().enumerate() {
        let (column, row) = ((at / 3) as i64, (at % 3) as i64);
        let side = i64::from(render::SIDE);
        image::imageops::replace(&mut sheet, &sitter.head.render(*view), column * side, row * side);
    }
    sheet.save(folder.join(format!("{name}.png"))).unwrap();
}

const PEOPLE: [&str; 3] = ["obama.jpg", "biden.jpg", "astronaut.png"];

/// The landmark model measures all three movements. The points of `centerface` follow yaw and size, and lose pitch
/// beyond about ten degrees: whoever asks people to look up needs the landmark model.
#[test]
fn measured_angles_follow_rendered_ones() {
    let yaws: Vec<View> = (-3..=3).map(|n| View { yaw: 10 * n, ..View::FRONTAL }).collect();
    let pitches: Vec<View> = (-1..=3).map(|n| View { pitch: 10 * n, ..View::FRONTAL }).collect();
    let sizes: Vec<View> = [80, 100, 120, 140].map(|size| View { size, ..View::FRONTAL }).into();
    for (name, detector, has_pitch) in
        [(PEOPLE[0], "ultralight", true), (PEOPLE[1], "ultralight", true), (PEOPLE[2], "centerface", false)]
    {
        let mut sitter = Sitter::new(name, detector);
        keep_sheet(&sitter, &[&yaws[..], &pitches, &sizes].concat(), name);
        let mut table = format!("{name} as seen by {detector}\n");
        let mut measured = |views: &[View], number: fn(&Pose) -> f32| -> Vec<f32> {
            let mut one = |view: &View| {
                let pose = sitter.pose(*view).unwrap_or_else(|| panic!("{table}{view:?}: no face"));
                table += &format!("{view:?}: {pose:.1?}\n");
                number(&pose)
            };
            views.iter().map(&mut one).collect()
        };
        let (yaw, pitch) = (measured(&yaws, |p| p.yaw), measured(&pitches, |p| p.pitch));
        let size = measured(&sizes, |p| p.eye_distance_px);
        let rises = |numbers: &[f32]| numbers.windows(2).all(|pair| pair[0] < pair[1]);
        let gain = |numbers: &[f32], rendered: f32| (numbers[numbers.len() - 1] - numbers[0]) / rendered;
        assert!(rises(&yaw) && (0.8..1.4).contains(&gain(&yaw, 60.0)), "yaw {yaw:.1?}\n{table}");
        assert!(
            rises(&size) && (0.85..1.15).contains(&(size[3] / size[0] / 1.75)),
            "size {size:.1?}\n{table}"
        );
        if has_pitch {
            assert!(rises(&pitch) && (0.8..1.6).contains(&gain(&pitch, 40.0)), "pitch {pitch:.1?}\n{table}");
        }
    }
}

/// The turns that answer a prompt, 5 degrees (or percent) a frame, held, and back; and a head at rest, which is never
/// quite still.
#[derive(Clone)]
struct Film {
    /// From which frame on which movement is made.
    movements: Vec<(usize, Prompt)>,
}

const FRAME_MS: u64 = 80;
const FURTHEST: i32 = 30;

impl Film {
    fn view(&self, frame: usize) -> View {
        let rest = View { yaw: [0, 1, 0, -1][frame % 4], ..View::FRONTAL };
        let Some((begins, prompt)) = self.movements.iter().rev().find(|(begins, _)| *begins <= frame) else {
            return rest;
        };
        let done = 5 * i32::try_from(frame - begins).unwrap();
        // There in 6 frames, held for 8, back in 6.
        let extent = done.min(FURTHEST).min((FURTHEST + 40 - (done - FURTHEST)).max(0));
        match (extent, prompt) {
            (0, _) => rest,
            (_, Prompt::LookLeft) => View { yaw: extent, ..View::FRONTAL },
            (_, Prompt::LookRight) => View { yaw: -extent, ..View::FRONTAL },
            (_, Prompt::LookUp) => View { pitch: extent, ..View::FRONTAL },
            (_, Prompt::ComeCloser) => View { size: 100 + extent * 4 / 3, ..View::FRONTAL },
        }
    }
}

/// Plays a film to a challenge. With `follows`, the movements are made when they are asked for, half a second after.
fn play(sitter: &mut Sitter, plan: &Plan, mut film: Film, follows: bool) -> (Progress, Film) {
    let mut challenge = Challenge::new(plan.clone(), Moment::default());
    for frame in 0..2000 {
        let at = Moment(MS(FRAME_MS * u64::try_from(frame).unwrap()));
        let now = at + MS(30);
        let progress = match sitter.pose(film.view(frame)) {
            Some(pose) => challenge.observe(&pose, at, now),
            None => challenge.tick(now),
        };
        match progress {
            Progress::Waiting => {}
            Progress::Prompt { prompt, .. } if follows => film.movements.push((frame + 6, prompt)),
            Progress::Prompt { .. } => {}
            Progress::Passed | Progress::Failed(_) => return (progress, film),
        }
    }
    panic!("an attempt without an end");
}

#[test]
fn rendered_people_pass_and_recordings_and_stills_do_not() {
    use Prompt::{ComeCloser, LookLeft, LookRight, LookUp};
    let settings = ChallengeSettings::default();
    let plan = |prompts: [Prompt; 3], pauses: [u64; 6]| {
        Plan::known(&settings, prompts.to_vec(), pauses.map(MS).to_vec()).unwrap()
    };
    let still = Film { movements: Vec::new() };
    for name in &PEOPLE[1..] {
        let sitter = &mut Sitter::new(name, "ultralight");
        let asked = plan([LookLeft, LookUp, ComeCloser], [800, 2100, 1500, 900, 900, 900]);
        let (progress, recording) = play(sitter, &asked, still.clone(), true);
        let table = format!("{name}: {:.1?}", sitter.measured);
        assert_eq!(progress, Progress::Passed, "{table}");
        let also = plan([LookRight, ComeCloser, LookUp], [3000, 600, 1000, 900, 900, 900]);
        assert_eq!(play(sitter, &also, still.clone(), true).0, Progress::Passed, "{table}");
        // The same film again passes the plan that it was made for, which nobody could have known, ...
        assert_eq!(play(sitter, &asked, recording.clone(), false).0, Progress::Passed, "{table}");
        // ... and no other order, nor the same with other pauses.
        let fault = |sitter: &mut Sitter, prompts, pauses| {
            let (progress, _) = play(sitter, &plan(prompts, pauses), recording.clone(), false);
            let Progress::Failed(fault) = progress else { panic!("{prompts:?} {pauses:?} passed\n{table}") };
            fault
        };
        let same = [800, 2100, 1500, 900, 900, 900];
        assert_eq!(fault(sitter, [LookRight, LookUp, ComeCloser], same), ChallengeFault::WrongMovement);
        assert_eq!(fault(sitter, [LookLeft, ComeCloser, LookUp], same), ChallengeFault::WrongMovement);
        assert_eq!(fault(sitter, [LookLeft, LookUp, LookRight], same), ChallengeFault::WrongMovement);
        let order = [LookLeft, LookUp, ComeCloser];
        assert_eq!(fault(sitter, order, [2000, 2100, 1500, 900, 900, 900]), ChallengeFault::Unprompted);
        assert_eq!(fault(sitter, order, [800, 3400, 1500, 900, 900, 900]), ChallengeFault::Unprompted);
        let (progress, _) = play(sitter, &asked, still.clone(), false);
        assert_eq!(progress, Progress::Failed(ChallengeFault::TooLate), "{table}");
    }
}
