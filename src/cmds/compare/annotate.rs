//! The picture that `compare --annotate` writes: both photos side by side, faces marked, the verdict below.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage, imageops};

use super::super::exit::{Exit, Failure};
use super::report::{Report, compared};
use super::{Photo, Verdict};
use crate::domain::{Detection, Point};
use crate::vision::draw::{self, AMBER, BLACK, GLYPH_SIDE, GREEN, Ink, RED, WHITE};
use crate::vision::resize::{ResizeError, Sampling, resize};

/// Both photos are scaled to this height; a very wide one to less, so that it is not wider than `MAX_WIDTH_PX`.
const HEIGHT_PX: u32 = 480;
const MAX_WIDTH_PX: u32 = 960;
const MARGIN_PX: u32 = 16;
const GAP_PX: u32 = 12;
const GREY: Ink = [170, 176, 184];

/// A photo scaled for showing.
pub(super) struct Panel {
    picture: Result<RgbImage, ResizeError>,
    scale: f32,
}

impl Panel {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sides of pictures are far below 2^24 and positive"
    )]
    pub(super) fn new(photo: &RgbImage) -> Self {
        let (width, height) = (photo.width() as f32, photo.height() as f32);
        let scale = (HEIGHT_PX as f32 / height).min(MAX_WIDTH_PX as f32 / width);
        let side = |v: f32| ((v * scale).round() as u32).max(1);
        Self { picture: resize(photo, None, side(width), side(height), Sampling::Area), scale }
    }
}

/// Refuses a target that cannot be right, before any work is done.
pub(super) fn check_target(out: &Path, photos: &[PathBuf]) -> Result<(), Failure> {
    let usage = |message: String| Err(Failure::new(Exit::Usage, message));
    if photos.len() != 2 {
        return usage(format!("--annotate shows two photos, and there are {}", photos.len()));
    }
    if out.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("png")) {
        return usage(format!("--annotate writes a PNG file: {} does not end in .png", out.display()));
    }
    let same_file = |photo: &PathBuf| {
        let (Ok(a), Ok(b)) = (out.canonicalize(), photo.canonicalize()) else { return false };
        a == b
    };
    if let Some(photo) = photos.iter().find(|photo| same_file(photo)) {
        return usage(format!("--annotate would overwrite the photo {}", photo.display()));
    }
    Ok(())
}

/// Writes the file, all of it or nothing. It shows people, so only its owner may read it.
pub(super) fn write(out: &Path, picture: &RgbImage) -> Result<(), Failure> {
    let failed = |e: &dyn std::fmt::Display| {
        Failure::new(Exit::CannotWrite, format!("cannot write {}: {e}", out.display()))
    };
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).map_err(|e| failed(&e))?;
    let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|e| failed(&e))?;
    file.write_all(bytes.get_ref()).map_err(|e| failed(&e))?;
    file.persist(out).map_err(|e| failed(&e.error))?;
    Ok(())
}

/// Draws it.
pub(super) fn draw(
    report: &Report<'_>,
    photos: [&Photo; 2],
    verdict: &Verdict,
) -> Result<RgbImage, ResizeError> {
    let ink = match verdict {
        Verdict::Told { distance, .. } if report.judge.is_same(*distance) => GREEN,
        Verdict::Told { .. } => RED,
        Verdict::NotTold { .. } => AMBER,
    };
    let chosen = compared(&photos, verdict);
    let mut panels = Vec::new();
    for (side, photo) in photos.iter().enumerate() {
        panels.push(panel(photo, chosen.map(|c| c[side].face.detection), ink)?);
    }
    let lines = words(report, verdict);
    let text_width = lines.iter().map(|(text, scale, _)| draw::text_width(text, *scale)).max().unwrap_or(0);
    let names: Vec<String> = photos.iter().zip(&panels).map(|(photo, p)| caption(photo, p.width())).collect();

    let photos_width = panels.iter().map(RgbImage::width).sum::<u32>() + GAP_PX;
    let width = photos_width.max(text_width) + 2 * MARGIN_PX;
    let top = MARGIN_PX + GLYPH_SIDE * 2 + GAP_PX;
    let bar_top = top + HEIGHT_PX + MARGIN_PX;
    let text_height: u32 = lines.iter().map(|(_, scale, _)| GLYPH_SIDE * scale + GAP_PX).sum();
    let height = bar_top + MARGIN_PX + text_height - GAP_PX + MARGIN_PX;

    let mut canvas = RgbImage::from_pixel(width, height, image::Rgb([30, 33, 39]));
    let mut left = (width - photos_width) / 2;
    for (panel, name) in panels.iter().zip(&names) {
        draw::text(&mut canvas, left.into(), MARGIN_PX.into(), 2, name, GREY, [30, 33, 39]);
        let down = top + (HEIGHT_PX - panel.height()) / 2;
        imageops::replace(&mut canvas, panel, left.into(), down.into());
        left += panel.width() + GAP_PX;
    }
    draw::fill(&mut canvas, (0, bar_top.into()), (width.into(), height.into()), BLACK);
    draw::fill(&mut canvas, (0, bar_top.into()), (width.into(), i64::from(bar_top) + 4), ink);
    let mut down = bar_top + MARGIN_PX + 4;
    let x = if text_width > photos_width { MARGIN_PX } else { (width - photos_width) / 2 };
    for (text, scale, colour) in &lines {
        draw::text(&mut canvas, x.into(), down.into(), *scale, text, colour.unwrap_or(ink), BLACK);
        down += GLYPH_SIDE * scale + GAP_PX;
    }
    Ok(canvas)
}

/// One photo with its faces marked. A photo that cannot be read is a dark square.
fn panel(photo: &Photo, chosen: Option<Detection>, ink: Ink) -> Result<RgbImage, ResizeError> {
    let Some(Panel { picture, scale }) = &photo.panel else {
        return Ok(RgbImage::from_pixel(HEIGHT_PX, HEIGHT_PX, image::Rgb([52, 56, 64])));
    };
    let mut picture = picture.clone()?;
    let faces = photo.faces.as_deref().unwrap_or_default();
    // The compared face last, so that it lies on top.
    for seen in faces.iter().filter(|seen| Some(seen.face.detection) != chosen) {
        mark(&mut picture, &seen.face.detection, *scale, AMBER, 2);
    }
    if let Some(detection) = chosen {
        mark(&mut picture, &detection, *scale, ink, 3);
    }
    Ok(picture)
}

fn mark(picture: &mut RgbImage, found: &Detection, scale: f32, ink: Ink, thickness: u32) {
    let area = found.box_in_frame.scaled(scale, scale);
    draw::outline(picture, area, ink, thickness);
    // On a face a few dozen pixels wide, points with a rim would hide it.
    let is_small = area.width() < 60.0;
    for point in found.landmarks_in_frame {
        let at = Point::new(point.x * scale, point.y * scale);
        if is_small {
            draw::dot(picture, at, 1, ink);
        } else {
            draw::dot(picture, at, 4, BLACK);
            draw::dot(picture, at, 3, ink);
        }
    }
}

/// Lines of the bar: text, scale, and colour where it is not that of the verdict.
fn words(report: &Report<'_>, verdict: &Verdict) -> Vec<(String, u32, Option<Ink>)> {
    let judge = &report.judge;
    let facts = match verdict {
        Verdict::Told { distance, .. } => {
            let sign = if judge.is_same(*distance) { "<=" } else { ">" };
            format!(
                "distance {distance:.3} {sign} threshold {:.3} ({})",
                judge.threshold,
                judge.metric.as_str()
            )
        }
        Verdict::NotTold { file, error } => {
            let name = file_name(file);
            let shown = file.display().to_string();
            error
                .strip_prefix(&format!("{shown}: "))
                .map_or_else(|| error.clone(), |what| format!("{name}: {what}"))
        }
    };
    let verdict = report.words(verdict).to_uppercase();
    vec![
        (verdict, 3, None),
        (facts, 2, Some(WHITE)),
        (format!("{}, {}", report.model, report.detector), 2, Some(GREY)),
    ]
}

/// The file's name, cut to what fits above its photo.
fn caption(photo: &Photo, width: u32) -> String {
    let name = file_name(&photo.path);
    let most = (width / (GLYPH_SIDE * 2)) as usize;
    if name.chars().count() <= most {
        return name;
    }
    name.chars().take(most.saturating_sub(2)).chain("..".chars()).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
