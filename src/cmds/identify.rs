//! `facewarden identify`: a folder of known people against pictures. The lines are those that `face_recognition`
//! prints with `--show-distance`, except that each face has just one: that of the most alike person.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::engine::ModelArgs;
use super::exit::{Exit, Failure, OrExit, Outcome};
use super::judge::{Judge, JudgeArgs};
use super::pictures::{Entry, FacialArea, Seen, csv, pictures};
use super::survey::{Crew, Look};
use crate::domain::Embedding;

/// Arguments of `identify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
One line a face: file,name,distance. Instead of a name: unknown_person (nobody known is near enough),
no_persons_found (no face) or unreadable (not a picture, or damaged); these have no distance.
With --json one object a picture.

Exit codes: 0 somebody was recognised, 1 nobody was, 2 a picture could not be read (the others were done).")]
pub struct Args {
    /// Folder of known people: a picture named after each, or a sub-folder for each with several pictures
    #[arg(value_name = "KNOWN_DIR")]
    known: PathBuf,
    /// Pictures, or folders of them
    #[arg(required = true, value_name = "PICTURE_OR_DIR")]
    pictures: Vec<PathBuf>,
    #[command(flatten)]
    judging: JudgeArgs,
    /// Print one JSON object a picture
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    models: ModelArgs,
}

/// A known person's face.
struct Known {
    name: String,
    embedding: Embedding,
}

/// A face and the person it resembles most.
#[derive(Serialize)]
struct Named<'k> {
    /// Who it is; null if nobody known is near enough.
    name: Option<&'k str>,
    /// Who is nearest, near enough or not.
    nearest: &'k str,
    distance: f32,
    facial_area: FacialArea,
}

#[derive(Serialize)]
struct Picture<'p> {
    file: &'p Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    faces: Option<Vec<Named<'p>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'p str>,
}

/// Runs `identify`.
///
/// # Errors
/// If the models cannot be loaded, or there is nobody known.
pub fn run(args: &Args) -> Outcome {
    if !args.known.is_dir() {
        let message = format!("{} is not a folder of known people", args.known.display());
        return Err(Failure::new(Exit::NoInput, message));
    }
    let (of_known, to_name) = (pictures(std::slice::from_ref(&args.known)), pictures(&args.pictures));
    let mut crew = Crew::load(&args.models, of_known.len().max(to_name.len()))?;
    let judge = args.judging.judge(crew.engine()?)?;
    let (known, mut all_read) = learn(&mut crew, &args.known, &of_known)?;
    if known.is_empty() {
        let message = format!("no picture in {} shows exactly one face", args.known.display());
        return Err(Failure::new(Exit::NoInput, message));
    }
    let mut recognised = false;
    crew.look_at_all("identifying", &to_name, |path, look| {
        let named = match &look {
            Ok(faces) => {
                Ok(faces.iter().map(|seen| name(&judge, &known, seen)).collect::<Result<Vec<_>, _>>()?)
            }
            Err(error) => {
                eprintln!("{error}");
                all_read = false;
                Err(error.as_str())
            }
        };
        recognised |= named.iter().flatten().any(|face| face.name.is_some());
        let text = if args.json { json(path, named).or_exit(Exit::Internal)? } else { lines(path, &named) };
        super::say(&text).map(drop)
    })?;
    Ok(match (all_read, recognised) {
        (false, _) => Exit::CannotTell,
        (true, true) => Exit::Ok,
        (true, false) => Exit::No,
    })
}

/// The known faces, and whether every picture of them could be read. A picture that does not show exactly one face
/// is left out, with a warning.
fn learn(crew: &mut Crew, folder: &Path, entries: &[Entry]) -> Result<(Vec<Known>, bool), Failure> {
    let (mut known, mut all_read) = (Vec::new(), true);
    crew.look_at_all("learning", entries, |path, look: Look| {
        match look {
            Ok(faces) => match &faces[..] {
                [seen] => {
                    known.push(Known { name: name_of(folder, path), embedding: seen.embedding.clone() })
                }
                [] => eprintln!("warning: {} is left out: no face was found", path.display()),
                more => {
                    eprintln!("warning: {} is left out: it shows {} faces", path.display(), more.len());
                }
            },
            Err(error) => {
                eprintln!("warning: a known picture is left out: {error}");
                all_read = false;
            }
        }
        Ok(())
    })?;
    Ok((known, all_read))
}

/// The name of the sub-folder, or of the file without its ending if it lies in `folder` itself.
fn name_of(folder: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(folder).unwrap_or(path);
    let mut parts = inside.components();
    let name = match (parts.next(), parts.next()) {
        (Some(sub_folder), Some(_)) => Some(sub_folder.as_os_str()),
        _ => path.file_stem(),
    };
    name.unwrap_or_default().to_string_lossy().into_owned()
}

fn name<'k>(judge: &Judge, known: &'k [Known], seen: &Seen) -> Result<Named<'k>, Failure> {
    let mut nearest: Option<(f32, &Known)> = None;
    for person in known {
        let distance = judge.distance(&person.embedding, &seen.embedding).or_exit(Exit::Internal)?;
        if nearest.is_none_or(|(least, _)| distance < least) {
            nearest = Some((distance, person));
        }
    }
    let (distance, person) = nearest.ok_or_else(|| Failure::new(Exit::Internal, "nobody is known"))?;
    let name = judge.is_same(distance).then_some(person.name.as_str());
    Ok(Named { name, nearest: &person.name, distance, facial_area: seen.area })
}

fn json(path: &Path, named: Result<Vec<Named<'_>>, &str>) -> serde_json::Result<String> {
    let (faces, error) = match named {
        Ok(faces) => (Some(faces), None),
        Err(error) => (None, Some(error)),
    };
    Ok(serde_json::to_string(&Picture { file: path, faces, error })? + "\n")
}

fn lines(path: &Path, named: &Result<Vec<Named<'_>>, &str>) -> String {
    let file = csv(&path.to_string_lossy());
    match named {
        Err(_) => format!("{file},unreadable,\n"),
        Ok(faces) if faces.is_empty() => format!("{file},no_persons_found,\n"),
        Ok(faces) => faces
            .iter()
            .map(|face| match face.name {
                Some(name) => format!("{file},{},{:.3}\n", csv(name), face.distance),
                None => format!("{file},unknown_person,\n"),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_named_after_the_file_or_the_folder() {
        let of = |path: &str| name_of(Path::new("known"), Path::new(path));
        assert_eq!(of("known/Ann Lee.jpg"), "Ann Lee");
        assert_eq!(of("known/bob/2019/a.jpg"), "bob");
        assert_eq!(of("known/j.r. ewing.png"), "j.r. ewing");
    }

    #[test]
    fn every_kind_of_line() {
        let face = |name, distance| Named {
            name,
            nearest: "Doe, Jo",
            distance,
            facial_area: FacialArea { x: 1, y: 2, w: 3, h: 4, left_eye: [3, 3], right_eye: [2, 3] },
        };
        let path = Path::new("a,b.jpg");
        let faces = Ok(vec![face(Some("Doe, Jo"), 0.25), face(None, 0.9)]);
        assert_eq!(lines(path, &faces), "\"a,b.jpg\",\"Doe, Jo\",0.250\n\"a,b.jpg\",unknown_person,\n");
        assert_eq!(lines(path, &Ok(vec![])), "\"a,b.jpg\",no_persons_found,\n");
        assert_eq!(lines(path, &Err("x")), "\"a,b.jpg\",unreadable,\n");
        assert_eq!(json(path, Err("gone")).unwrap(), "{\"file\":\"a,b.jpg\",\"error\":\"gone\"}\n");
    }
}
