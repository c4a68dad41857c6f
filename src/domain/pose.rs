//! How a head is held, and what a person can be asked to do with it.
//!
//! Left and right are always the person's own. In a picture that is not mirrored, a person who faces the camera has
//! their left on the right side of the picture: when they look to their left, their nose moves to the picture's right.
//! A mirrored picture (some cameras for video calls do that by themselves) turns the two round.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a head is held, measured from five points: degrees of an average head. A person whose nose is longer or
/// shorter than average has all angles too large or too small by the same part (about a fifth at most), so angles
/// are good for telling movements, less for protractors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pose {
    /// Turned to the person's own left (the picture's right) when above 0; degrees, within -90..=90.
    pub yaw: f32,
    /// Turned up when above 0; degrees, within -90..=90.
    pub pitch: f32,
    /// Tilted clockwise in the picture (to the person's own left shoulder) when above 0; degrees, -180..=180.
    pub roll: f32,
    /// Between the two eyes in the picture, pixels. It grows as the person comes closer, and shrinks with the
    /// cosine of the yaw.
    pub eye_distance_px: f32,
}

/// What a person is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// Turn the head to one's own left.
    LookLeft,
    /// Turn the head to one's own right.
    LookRight,
    /// Raise the chin.
    LookUp,
    /// Bring the face nearer to the camera.
    ComeCloser,
}

impl Prompt {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::LookLeft, Self::LookRight, Self::LookUp, Self::ComeCloser];
}

impl std::fmt::Display for Prompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::LookLeft => "turn your head to your left",
            Self::LookRight => "turn your head to your right",
            Self::LookUp => "look up",
            Self::ComeCloser => "come closer",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_have_names_for_programs_and_words_for_people() {
        let names = Prompt::ALL.map(|prompt| serde_json::to_string(&prompt).unwrap());
        assert_eq!(names, ["\"look_left\"", "\"look_right\"", "\"look_up\"", "\"come_closer\""]);
        assert_eq!(Prompt::LookLeft.to_string(), "turn your head to your left");
        for (name, prompt) in names.iter().zip(Prompt::ALL) {
            assert_eq!(serde_json::from_str::<Prompt>(name).unwrap(), prompt);
        }
    }
}
