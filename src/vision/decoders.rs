//! What the raw numbers of each kind of detector mean.
//!
//! Pure: numbers in, boxes out, in pixels of the picture that the detector saw. Each decoder checks the lengths
//! it is given, so that a model that does not keep its manifest's promise is an error and not a wrong face.

use super::nms::suppress;
use crate::domain::{Detection, Landmarks, Point, Rect};

/// One output of a model: its shape and its numbers.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// Sizes of the dimensions.
    pub shape: &'a [i64],
    /// Row-major numbers.
    pub values: &'a [f32],
}

/// A model's answer has another form than its decoder needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnexpectedShape(pub String);

/// Score and overlap limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Scores below this are no faces, 0..=1.
    pub min_score: f32,
    /// Boxes that overlap a more certain one by more than this are dropped, 0..=1.
    pub max_iou: f32,
}

/// A box without landmarks and its score.
pub type ScoredBox = (Rect, f32);

fn check(output: Output<'_>, what: &str, expected: &[Option<usize>]) -> Result<(), UnexpectedShape> {
    let fits = output.shape.len() == expected.len()
        && output.shape.iter().zip(expected).all(|(&is, should)| {
            usize::try_from(is).is_ok_and(|is| should.is_none_or(|should| is == should))
        })
        && output.shape.iter().product::<i64>() == i64::try_from(output.values.len()).unwrap_or(-1);
    if fits {
        return Ok(());
    }
    let expected: Vec<String> =
        expected.iter().map(|side| side.map_or_else(|| "?".into(), |s| s.to_string())).collect();
    Err(UnexpectedShape(format!("{what} has shape {:?} instead of [{}]", output.shape, expected.join(", "))))
}

/// CenterFace: four maps at a quarter of the input's size. Heat map (how much a face's centre is here), log of
/// height and width, offset of the centre (down, right), and five landmarks (y, x) relative to the box.
///
/// # Errors
/// If an output has another shape.
#[expect(clippy::cast_precision_loss, reason = "rows and columns of a heat map are small numbers")]
pub fn centerface(
    outputs: [Output<'_>; 4],
    size: (u32, u32),
    limits: Limits,
) -> Result<Vec<Detection>, UnexpectedShape> {
    const STRIDE: usize = 4;
    let (width, height) = (size.0 as usize, size.1 as usize);
    let (columns, rows) = (width / STRIDE, height / STRIDE);
    let cells = columns * rows;
    for (output, what, channels) in [
        (outputs[0], "the heat map", 1),
        (outputs[1], "the scale map", 2),
        (outputs[2], "the offset map", 2),
        (outputs[3], "the landmark map", 10),
    ] {
        check(output, what, &[Some(1), Some(channels), Some(rows), Some(columns)])?;
    }
    let [heat, scale, offset, points] = outputs.map(|output| output.values);
    let stride = STRIDE as f32;
    let mut found = Vec::new();
    for cell in (0..cells).filter(|&cell| heat[cell] > limits.min_score) {
        let (row, column) = ((cell / columns) as f32, (cell % columns) as f32);
        let (high, wide) = (scale[cell].exp() * stride, scale[cells + cell].exp() * stride);
        let left = ((column + offset[cells + cell] + 0.5) * stride - wide / 2.0).clamp(0.0, width as f32);
        let top = ((row + offset[cell] + 0.5) * stride - high / 2.0).clamp(0.0, height as f32);
        let landmarks: Landmarks = std::array::from_fn(|j| {
            Point::new(
                points[(2 * j + 1) * cells + cell] * wide + left,
                points[2 * j * cells + cell] * high + top,
            )
        });
        found.push(Detection {
            box_in_frame: Rect::new(
                left,
                top,
                (left + wide).min(width as f32),
                (top + high).min(height as f32),
            ),
            landmarks_in_frame: landmarks,
            score: heat[cell],
        });
    }
    Ok(best_of(found, limits))
}

/// The "ultra light" detector: scores (background, face) and boxes as 0..=1 corners, decoded by the model itself.
/// It gives no landmarks.
///
/// # Errors
/// If an output has another shape.
#[expect(clippy::cast_precision_loss, reason = "sides of pictures are small numbers")]
pub fn ultralight(
    outputs: [Output<'_>; 2],
    size: (u32, u32),
    limits: Limits,
) -> Result<Vec<ScoredBox>, UnexpectedShape> {
    let anchors = outputs[0].values.len() / 2;
    check(outputs[0], "the scores", &[Some(1), Some(anchors), Some(2)])?;
    check(outputs[1], "the boxes", &[Some(1), Some(anchors), Some(4)])?;
    let boxes: Vec<ScoredBox> = outputs[0]
        .values
        .chunks_exact(2)
        .zip(outputs[1].values.chunks_exact(4))
        .filter(|(score, _)| score[1] >= limits.min_score)
        .map(|(score, b)| (Rect::new(b[0], b[1], b[2], b[3]).scaled(size.0 as f32, size.1 as f32), score[1]))
        .collect();
    Ok(suppress(&boxes, limits.max_iou).into_iter().map(|i| boxes[i]).collect())
}

/// SCRFD with landmarks: for strides 8, 16 and 32 scores, distances from the anchor to the box's four sides and
/// to the five landmarks, in strides; two anchors a cell, at `(column, row) * stride`. Outputs in the order
/// score 8, 16, 32, box 8, 16, 32, landmarks 8, 16, 32.
///
/// # Errors
/// If an output has another shape.
#[expect(clippy::cast_precision_loss, reason = "rows, columns and strides are small numbers")]
pub fn scrfd(
    outputs: [Output<'_>; 9],
    size: (u32, u32),
    limits: Limits,
) -> Result<Vec<Detection>, UnexpectedShape> {
    const ANCHORS_A_CELL: usize = 2;
    let mut found = Vec::new();
    for (level, stride) in [8_usize, 16, 32].into_iter().enumerate() {
        let columns = size.0 as usize / stride;
        let anchors = columns * (size.1 as usize / stride) * ANCHORS_A_CELL;
        let [scores, boxes, points] =
            [outputs[level], outputs[level + 3], outputs[level + 6]].map(|o| o.values);
        for (values, what, wanted) in [(scores, "scores", 1), (boxes, "boxes", 4), (points, "landmarks", 10)]
        {
            if values.len() != anchors * wanted {
                return Err(UnexpectedShape(format!(
                    "the {what} of stride {stride} are {} numbers instead of {}",
                    values.len(),
                    anchors * wanted
                )));
            }
        }
        let stride = stride as f32;
        for anchor in (0..anchors).filter(|&a| scores[a] >= limits.min_score) {
            let cell = anchor / ANCHORS_A_CELL;
            let (x, y) = ((cell % columns) as f32 * stride, (cell / columns) as f32 * stride);
            let side = |n: usize| boxes[anchor * 4 + n] * stride;
            let point = |n: usize| points[anchor * 10 + n] * stride;
            found.push(Detection {
                box_in_frame: Rect::new(x - side(0), y - side(1), x + side(2), y + side(3)),
                landmarks_in_frame: std::array::from_fn(|j| {
                    Point::new(x + point(2 * j), y + point(2 * j + 1))
                }),
                score: scores[anchor],
            });
        }
    }
    Ok(best_of(found, limits))
}

fn best_of(found: Vec<Detection>, limits: Limits) -> Vec<Detection> {
    let boxes: Vec<ScoredBox> = found.iter().map(|d| (d.box_in_frame, d.score)).collect();
    suppress(&boxes, limits.max_iou)
        .into_iter()
        .map(|i| found[i])
        .filter(|d| d.landmarks_in_frame.iter().all(|p| p.x.is_finite() && p.y.is_finite()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { min_score: 0.5, max_iou: 0.3 };

    #[test]
    fn centerface_finds_the_cell() {
        // 32 x 64 input: 8 columns, 16 rows. One face centred in column 3, row 5, 8 high and 4 wide.
        let cells = 8 * 16;
        let (mut heat, mut scale, mut offset, mut points) =
            (vec![0.0; cells], vec![0.0; 2 * cells], vec![0.0; 2 * cells], vec![0.0; 10 * cells]);
        let cell = 5 * 8 + 3;
        heat[cell] = 0.9;
        scale[cell] = 2.0_f32.ln();
        offset[cells + cell] = 0.25;
        points[cell] = 0.5;
        points[cells + cell] = 1.0;
        let shape = |channels: i64| [1, channels, 16, 8];
        let (s1, s2, s10) = (shape(1), shape(2), shape(10));
        let outputs = [
            Output { shape: &s1, values: &heat },
            Output { shape: &s2, values: &scale },
            Output { shape: &s2, values: &offset },
            Output { shape: &s10, values: &points },
        ];
        let found = centerface(outputs, (32, 64), LIMITS).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].box_in_frame, Rect::new(13.0, 18.0, 17.0, 26.0));
        assert_eq!(found[0].landmarks_in_frame[0], Point::new(17.0, 22.0));
        assert!(centerface(outputs, (64, 64), LIMITS).is_err());
    }

    #[test]
    fn ultralight_scales_corners() {
        let outputs = [
            Output { shape: &[1, 2, 2], values: &[0.9, 0.1, 0.2, 0.8] },
            Output { shape: &[1, 2, 4], values: &[0.0, 0.0, 1.0, 1.0, 0.25, 0.5, 0.5, 0.75] },
        ];
        let found = ultralight(outputs, (320, 240), LIMITS).unwrap();
        assert_eq!(found, [(Rect::new(80.0, 120.0, 160.0, 180.0), 0.8)]);
        let wrong = [outputs[0], Output { shape: &[1, 1, 4], values: &[0.0; 4] }];
        assert!(ultralight(wrong, (320, 240), LIMITS).is_err());
    }

    #[test]
    fn scrfd_measures_from_the_anchor() {
        let sizes = [(4 * 4 * 2, 8), (2 * 2 * 2, 16), (2, 32)];
        let mut scores: Vec<Vec<f32>> = sizes.iter().map(|s| vec![0.0; s.0]).collect();
        let boxes: Vec<Vec<f32>> = sizes.iter().map(|s| vec![1.0; s.0 * 4]).collect();
        let points: Vec<Vec<f32>> = sizes.iter().map(|s| vec![0.5; s.0 * 10]).collect();
        scores[0][(2 * 4 + 1) * 2] = 0.7;
        let outputs: Vec<Output<'_>> = [&scores, &boxes, &points]
            .into_iter()
            .flatten()
            .map(|v| Output { shape: &[], values: v })
            .collect();
        let outputs: [Output<'_>; 9] = outputs.try_into().unwrap();
        let found = scrfd(outputs, (32, 32), LIMITS).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].box_in_frame, Rect::new(0.0, 8.0, 16.0, 24.0));
        assert_eq!(found[0].landmarks_in_frame[4], Point::new(12.0, 20.0));
        assert!(scrfd(outputs, (64, 32), LIMITS).is_err());
    }
}
