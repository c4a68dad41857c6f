//! `facewarden cluster`: who is on these pictures, without knowing anybody.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::engine::ModelArgs;
use super::exit::{Exit, OrExit, Outcome};
use super::judge::JudgeArgs;
use super::pictures::{FacialArea, csv, pictures};
use super::survey::Crew;
use crate::domain::Embedding;
use crate::matching;

/// Arguments of `cluster`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
One line a face, below a line of headings: group,file,face_index,x,y,w,h. Groups are numbered from 1 in the order of
their first face; the faces of a picture from 1, the largest first. With --json one object.

Exit codes: 0 done, 2 no face was found or a picture could not be read (the others were done).")]
pub struct Args {
    /// Pictures, or folders of them
    #[arg(required = true, value_name = "PICTURE_OR_DIR")]
    pictures: Vec<PathBuf>,
    #[command(flatten)]
    judging: JudgeArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    models: ModelArgs,
}

#[derive(Serialize)]
struct Face {
    file: PathBuf,
    face_index: usize,
    facial_area: FacialArea,
}

#[derive(Serialize)]
struct Group<'f> {
    group: usize,
    faces: Vec<&'f Face>,
}

#[derive(Serialize)]
struct Unreadable {
    file: PathBuf,
    error: String,
}

#[derive(Serialize)]
struct Answer<'f> {
    groups: Vec<Group<'f>>,
    no_persons_found: &'f [PathBuf],
    unreadable: &'f [Unreadable],
}

/// Runs `cluster`.
///
/// # Errors
/// If the models cannot be loaded, or there are more faces than can be grouped at once.
pub fn run(args: &Args) -> Outcome {
    let entries = pictures(&args.pictures);
    let mut crew = Crew::load(&args.models, entries.len())?;
    let judge = args.judging.judge(crew.engine()?)?;
    let (mut faces, mut embeddings): (Vec<Face>, Vec<Embedding>) = Default::default();
    let (mut without_face, mut unreadable): (Vec<PathBuf>, Vec<Unreadable>) = Default::default();
    crew.look_at_all("looking", &entries, |path: &Path, look| {
        match look {
            Ok(seen) if seen.is_empty() => {
                eprintln!("{}: no face was found", path.display());
                without_face.push(path.to_owned());
            }
            Ok(seen) => {
                for (index, seen) in (1..).zip(seen) {
                    faces.push(Face { file: path.to_owned(), face_index: index, facial_area: seen.area });
                    embeddings.push(seen.embedding);
                }
            }
            Err(error) => {
                eprintln!("{error}");
                unreadable.push(Unreadable { file: path.to_owned(), error });
            }
        }
        Ok(())
    })?;
    let labels = matching::cluster(&embeddings, judge.metric, judge.threshold).or_exit(Exit::Usage)?;
    let groups = grouped(&faces, &labels);
    let text = if args.json {
        let answer = Answer { groups, no_persons_found: &without_face, unreadable: &unreadable };
        serde_json::to_string(&answer).or_exit(Exit::Internal)? + "\n"
    } else {
        lines(&groups)
    };
    super::say(&text)?;
    Ok(if faces.is_empty() || !unreadable.is_empty() { Exit::CannotTell } else { Exit::Ok })
}

fn grouped<'f>(faces: &'f [Face], labels: &[usize]) -> Vec<Group<'f>> {
    let count = labels.iter().max().map_or(0, |last| last + 1);
    let of = |label: usize| faces.iter().zip(labels).filter(move |(_, l)| **l == label).map(|(face, _)| face);
    (0..count).map(|label| Group { group: label + 1, faces: of(label).collect() }).collect()
}

fn lines(groups: &[Group<'_>]) -> String {
    let mut text = "group,file,face_index,x,y,w,h\n".to_owned();
    for Group { group, faces } in groups {
        for Face { file, face_index, facial_area: FacialArea { x, y, w, h, .. } } in faces {
            let file = csv(&file.to_string_lossy());
            text.push_str(&format!("{group},{file},{face_index},{x},{y},{w},{h}\n"));
        }
    }
    text
}
