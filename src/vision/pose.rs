//! How a head is held, from the five points alone.
//!
//! # The head
//!
//! Eyes and mouth corners lie in a plane; the nose tip sticks out from it. With the distance between the eyes as the
//! unit, x to the picture's right, y down the face and z towards the camera, the eyes are at (±1/2, 0, 0), the middle
//! of the mouth at (0, D, 0) and the nose tip at (0, N, H). Seen from afar after a turn by `yaw` and then `pitch`, the
//! eyes are `cos yaw` apart (across the face's middle line), the mouth's middle is `D cos pitch` below theirs, and the nose tip is at
//!
//! ```text
//! across = H sin yaw                      down = N cos pitch - H cos yaw sin pitch
//! ```
//!
//! Measured along the line from the eyes' middle to the mouth's, which takes the roll out, that gives
//!
//! ```text
//! tan yaw   = (across / eye distance) / H
//! tan pitch = (N/D - down / mouth distance) D / (H cos yaw)
//! ```
//!
//! Both are ratios of lengths in one picture, so neither the size of the picture nor where the face is matters.
//! A face near the camera is seen in perspective, which adds a few degrees at arm's length.

use crate::domain::{Landmarks, Point, Pose};

/// H: how far the nose tip is in front of the plane of eyes and mouth corners, in distances between the eyes. The
/// generic head that is in common use with pose solvers has the tip 135 before its outer eye corners and 125 before
/// its mouth corners where those eye corners are 450 apart, that is pupils about 315: 130 / 315.
const NOSE_OUT: f32 = 0.41;

/// N / D: where the nose tip of a frontal face is between the eyes (0) and the mouth (1), in the template that
/// embedders are trained with ([`ARCFACE_112`](super::align::ARCFACE_112)).
pub(super) const NOSE_ALONG: f32 = 0.49;

/// D: from the eyes' middle to the mouth's in the same template, in distances between the eyes.
const MOUTH_DOWN: f32 = 1.155;

/// Where the nose is in the face, and how narrow the face is.
pub(super) struct FaceShape {
    /// From the line between the eyes' middle and the mouth's middle, to the side, in distances between the eyes;
    /// above 0 towards the eye that is on the right of the picture when the face is upright.
    pub(super) nose_across: f32,
    /// Along that line: 0 at the eyes, 1 at the mouth.
    pub(super) nose_along: f32,
    /// Distance between the eyes over the distance from the eyes' middle to the mouth's: 0.87 in the template.
    pub(super) across_over_down: f32,
    /// From the eyes' middle to the mouth's middle, pixels.
    down: (f32, f32),
    /// From the eye on the left of the picture to the other, pixels.
    across: (f32, f32),
}

/// `None` if the eyes coincide, or their middle and that of the mouth.
pub(super) fn face_shape(landmarks: &Landmarks) -> Option<FaceShape> {
    let [left_eye, right_eye, nose, left_mouth, right_mouth] = *landmarks;
    let middle = |a: Point, b: Point| Point::new(f32::midpoint(a.x, b.x), f32::midpoint(a.y, b.y));
    let (eyes, mouth) = (middle(left_eye, right_eye), middle(left_mouth, right_mouth));
    let (across_x, across_y) = (right_eye.x - left_eye.x, right_eye.y - left_eye.y);
    let across = across_x.hypot(across_y);
    let (down_x, down_y) = (mouth.x - eyes.x, mouth.y - eyes.y);
    let down = down_x.hypot(down_y);
    if across < 1e-3 || down < 1e-3 {
        return None;
    }
    Some(FaceShape {
        nose_across: ((nose.x - eyes.x) * down_y - (nose.y - eyes.y) * down_x) / (down * across),
        nose_along: ((nose.x - eyes.x) * down_x + (nose.y - eyes.y) * down_y) / (down * down),
        across_over_down: across / down,
        down: (down_x, down_y),
        across: (across_x, across_y),
    })
}

/// How the head with these points is held; they may be in pixels of any picture. `None` if they are not those of a
/// face: not numbers, coinciding, or with left and right exchanged.
#[must_use]
pub fn pose(landmarks: &Landmarks) -> Option<Pose> {
    if !landmarks.iter().all(|p| p.x.is_finite() && p.y.is_finite()) {
        return None;
    }
    let shape = face_shape(landmarks)?;
    let ((across_x, across_y), (down_x, down_y)) = (shape.across, shape.down);
    let eye_distance_px = across_x.hypot(across_y);
    // The mouth is clockwise from the line through the eyes in every face, however it is turned. Less than this
    // part of a right angle between the two, and nothing can be told.
    let square = (across_x * down_y - across_y * down_x) / (eye_distance_px * down_x.hypot(down_y));
    if square.is_nan() || square < 0.2 {
        return None;
    }
    // Turned and raised at once, the eyes are aslant to the middle line: across it they are still `cos yaw` apart.
    let yaw = (shape.nose_across / square / NOSE_OUT).atan();
    let pitch = ((NOSE_ALONG - shape.nose_along) * MOUTH_DOWN / (NOSE_OUT * yaw.cos())).atan();
    let pose = Pose {
        yaw: yaw.to_degrees(),
        pitch: pitch.to_degrees(),
        roll: (-down_x).atan2(down_y).to_degrees(),
        eye_distance_px,
    };
    [pose.yaw, pose.pitch, pose.roll, pose.eye_distance_px].iter().all(|v| v.is_finite()).then_some(pose)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vision::align::{ARCFACE_112, SimilarityTransform};

    /// The head of the module's documentation, turned and seen from afar.
    fn head(yaw: f32, pitch: f32) -> Landmarks {
        let (sin_yaw, cos_yaw) = yaw.to_radians().sin_cos();
        let (sin_pitch, cos_pitch) = pitch.to_radians().sin_cos();
        let seen = |[x, y, z]: [f32; 3]| {
            let (across, towards) = (x * cos_yaw + z * sin_yaw, z * cos_yaw - x * sin_yaw);
            Point::new(100.0 * across, 100.0 * (y * cos_pitch - towards * sin_pitch))
        };
        let mouth = MOUTH_DOWN;
        [
            [-0.5, 0.0, 0.0],
            [0.5, 0.0, 0.0],
            [0.0, NOSE_ALONG * mouth, NOSE_OUT],
            [-0.41, mouth, 0.0],
            [0.41, mouth, 0.0],
        ]
        .map(seen)
    }

    fn mirrored(points: &Landmarks) -> Landmarks {
        let [a, b, nose, c, d] = points.map(|p| Point::new(-p.x, p.y));
        [b, a, nose, d, c]
    }

    fn any_face() -> impl Strategy<Value = Landmarks> {
        (-50.0_f32..50.0, -40.0_f32..40.0, prop::array::uniform10(-6.0_f32..6.0)).prop_map(
            |(yaw, pitch, noise)| {
                let mut points = head(yaw, pitch);
                for (point, by) in points.iter_mut().zip(noise.chunks_exact(2)) {
                    *point = Point::new(point.x + by[0], point.y + by[1]);
                }
                points
            },
        )
    }

    proptest! {
        #[test]
        fn the_angles_of_the_head_are_found(yaw in -55.0_f32..55.0, pitch in -40.0_f32..40.0) {
            let found = pose(&head(yaw, pitch)).unwrap();
            prop_assert!((found.yaw - yaw).abs() < 0.2, "{found:?}");
            prop_assert!((found.pitch - pitch).abs() < 0.2, "{found:?}");
            prop_assert!(found.roll.abs() < 0.2, "{found:?}");
            prop_assert!(found.eye_distance_px >= 99.0 * yaw.to_radians().cos());
        }

        #[test]
        fn roll_scale_and_place_change_no_angle(
            points in any_face(), roll in -170.0_f32..170.0, scale in 0.1_f32..10.0, tx in -500.0_f32..500.0,
        ) {
            let (sin, cos) = roll.to_radians().sin_cos();
            let turn = SimilarityTransform { a: scale * cos, b: scale * sin, tx, ty: -tx };
            let (before, after) = (pose(&points).unwrap(), pose(&points.map(|p| turn.apply(p))).unwrap());
            prop_assert!((before.yaw - after.yaw).abs() < 0.3, "{before:?} {after:?}");
            prop_assert!((before.pitch - after.pitch).abs() < 0.3, "{before:?} {after:?}");
            let turned = (after.roll - before.roll - roll).rem_euclid(360.0);
            prop_assert!(turned.min(360.0 - turned) < 0.3, "{before:?} {after:?}");
            prop_assert!((after.eye_distance_px / before.eye_distance_px / scale - 1.0).abs() < 1e-3);
        }

        #[test]
        fn a_mirrored_face_is_turned_the_other_way(points in any_face()) {
            let (seen, mirrored) = (pose(&points).unwrap(), pose(&mirrored(&points)).unwrap());
            prop_assert!((seen.yaw + mirrored.yaw).abs() < 0.01);
            prop_assert!((seen.roll + mirrored.roll).abs() < 0.01);
            prop_assert!((seen.pitch - mirrored.pitch).abs() < 0.01);
        }

        #[test]
        fn whatever_the_points_no_angle_is_nonsense(xs in prop::array::uniform10(-1e6_f32..1e6)) {
            let points = std::array::from_fn(|i| Point::new(xs[2 * i], xs[2 * i + 1]));
            if let Some(found) = pose(&points) {
                prop_assert!(found.yaw.abs() <= 90.0 && found.pitch.abs() <= 90.0 && found.roll.abs() <= 180.0);
                prop_assert!(found.eye_distance_px > 0.0);
            }
        }
    }

    #[test]
    fn the_template_looks_at_the_camera() {
        let found = pose(&ARCFACE_112).unwrap();
        assert!(found.yaw.abs() < 1.0 && found.pitch.abs() < 3.0 && found.roll.abs() < 1.0, "{found:?}");
    }

    #[test]
    fn a_nose_on_the_right_of_the_picture_is_a_turn_to_the_person_s_left() {
        let mut points = ARCFACE_112;
        points[2].x += 8.0;
        assert!(pose(&points).unwrap().yaw > 20.0);
        points[2] = ARCFACE_112[2];
        points[2].y -= 6.0;
        assert!(pose(&points).unwrap().pitch > 15.0);
    }

    #[test]
    fn points_that_are_no_face_have_no_pose() {
        assert_eq!(pose(&[Point::new(5.0, 5.0); 5]), None);
        for (at, x) in [(0, f32::NAN), (2, f32::INFINITY), (4, f32::NEG_INFINITY)] {
            let mut points = ARCFACE_112;
            points[at].x = x;
            assert_eq!(pose(&points), None, "{points:?}");
        }
        let [a, b, nose, c, d] = ARCFACE_112;
        assert_eq!(pose(&[b, a, nose, d, c]), None, "left and right exchanged");
        assert_eq!(pose(&[a, a, nose, c, d]), None, "the eyes coincide");
        assert_eq!(pose(&[a, b, nose, b, a]), None, "the mouth between the eyes");
        let line: Landmarks = std::array::from_fn(|i| Point::new(10.0 * i as f32, 5.0));
        assert_eq!(pose(&line), None, "all on one line");
    }
}
