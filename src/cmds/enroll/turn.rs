//! Which way a face is turned, in so few words that people can be told.

use serde::Serialize;

/// From so many degrees on a head counts as turned. Less is how people hold their head who look straight ahead; more
/// than about 40 the quality gate refuses.
const TURNED_DEG: f32 = 12.0;

/// The pitch that is measured of somebody who looks straight ahead: what five points give is a few degrees off, since most
/// noses are lower in the face than in the template. The median of press photos; half of them are within 4 degrees of it
/// (`facewarden bench --only duplicates`, docs/enrolment.md).
const STRAIGHT_PITCH_DEG: f32 = -12.0;

/// Which way a face is turned. Left and right are the person's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// At the camera.
    Straight,
    /// To their left.
    Left,
    /// To their right.
    Right,
    /// Chin lifted.
    Up,
    /// Chin lowered.
    Down,
}

impl Turn {
    /// All of them, in the order in which somebody is asked for them.
    pub const ALL: [Self; 5] = [Self::Straight, Self::Left, Self::Right, Self::Up, Self::Down];

    /// Of a head held so, degrees as in [`Pose`](crate::domain::Pose). What it is turned most by counts.
    #[must_use]
    pub fn of(yaw_deg: f32, pitch_deg: f32) -> Self {
        let pitch_deg = pitch_deg - STRAIGHT_PITCH_DEG;
        if yaw_deg.abs().max(pitch_deg.abs()) < TURNED_DEG {
            Self::Straight
        } else if yaw_deg.abs() >= pitch_deg.abs() {
            if yaw_deg > 0.0 { Self::Left } else { Self::Right }
        } else if pitch_deg > 0.0 {
            Self::Up
        } else {
            Self::Down
        }
    }
}

impl std::fmt::Display for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Straight => "straight ahead",
            Self::Left => "to the left",
            Self::Right => "to the right",
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_head_is_turned_most_by_counts() {
        for (yaw, pitch, expected) in [
            (0.0, -12.0, Turn::Straight),
            (11.0, -23.0, Turn::Straight),
            (13.0, -12.0, Turn::Left),
            (-30.0, 8.0, Turn::Right),
            (12.0, 13.0, Turn::Up),
            (0.0, -27.0, Turn::Down),
        ] {
            assert_eq!(Turn::of(yaw, pitch), expected, "{yaw} {pitch}");
        }
    }
}
