//! The manifest beside each model file: what the model is, how pictures are fed to it, and how its answer reads.

use std::fmt;
use std::path::Path;

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::diagnostic::ConfigError;
use super::load::{read_text, sorted, typed};
use super::manifest_check::check;
use crate::domain::{Calibration, Landmarks, NotAScore, Point, Threshold};

/// The version of the manifest format that this program reads.
pub const MANIFEST_SCHEMA: u32 = 1;

/// A checked manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// What settings call the model; letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Name of the ONNX file, in the manifest's own folder.
    pub file: String,
    /// SHA-256 of the ONNX file, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Under which terms the weights are offered.
    pub licence: String,
    /// What else users should know.
    pub notes: Option<String>,
    /// Where the file comes from; models of one's own need none.
    pub source: Option<Source>,
    /// How a picture is fed to it.
    pub input: Input,
    /// What it does, and what is special to that.
    pub role: Role,
    /// How often it errs, as measured; embedders only.
    pub calibration: Option<Calibration>,
}

/// What a model does.
#[derive(Debug, Clone, PartialEq)]
pub enum Role {
    /// Finds faces.
    Detector(DetectorSpec),
    /// Finds the five points of a face in a detector's box.
    Landmarks(LandmarksSpec),
    /// Turns a face into numbers.
    Embedder(EmbedderSpec),
    /// Tells a face from a picture of one.
    Liveness(LivenessSpec),
}

impl Role {
    /// The value of `role` in the file, and the name of its section.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Detector(_) => "detector",
            Self::Landmarks(_) => "landmarks",
            Self::Embedder(_) => "embedder",
            Self::Liveness(_) => "liveness",
        }
    }
}

/// Where a model file comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Registry, package and version.
    pub package: String,
    /// The file's path inside the package.
    pub path: String,
    /// SHA-256 of that file, 64 hexadecimal digits.
    pub sha256: String,
    /// What was changed in it since.
    pub changes: String,
}

/// How a picture becomes a tensor: each channel's value 0..=255 becomes `(value - mean) / scale`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The tensor's name in the model.
    pub name: String,
    /// Order of the axes.
    pub layout: Layout,
    /// Order of the channels.
    pub colour: Colour,
    /// Width and height in pixels, where the model wants exactly these.
    pub size: Option<[u32; 2]>,
    /// Subtracted first, by channel in the order of `colour`.
    pub mean: PerChannel,
    /// Divided by then; never 0.
    pub scale: PerChannel,
}

/// Order of a tensor's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Batch, channel, row, column.
    Nchw,
    /// Batch, row, column, channel.
    Nhwc,
}

impl Layout {
    /// The name as in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nchw => "nchw",
            Self::Nhwc => "nhwc",
        }
    }
}

/// Order of a picture's channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Colour {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
    /// Luma alone: one channel.
    Grey,
}

impl Colour {
    /// The name as in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rgb => "rgb",
            Self::Bgr => "bgr",
            Self::Grey => "grey",
        }
    }

    /// How many channels the tensor has.
    #[must_use]
    pub fn channels(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Grey => 1,
        }
    }
}

/// One number for each channel. In the file a single number (which counts for all) or a list of one or three.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PerChannel(pub [f32; 3]);

impl<'de> Deserialize<'de> for PerChannel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrThree;

        impl<'de> Visitor<'de> for OneOrThree {
            type Value = PerChannel;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a list of one number for each of the three channels")
            }

            #[expect(clippy::cast_possible_truncation, reason = "f32 is the precision of tensors")]
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<PerChannel, E> {
                Ok(PerChannel([value as f32; 3]))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<PerChannel, E> {
                let small = i16::try_from(value)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))?;
                Ok(PerChannel([f32::from(small); 3]))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<PerChannel, E> {
                let small = u16::try_from(value)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))?;
                Ok(PerChannel([f32::from(small); 3]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<PerChannel, A::Error> {
                let mut values: Vec<f32> = Vec::new();
                while let Some(value) = items.next_element()? {
                    values.push(value);
                }
                match values[..] {
                    [one] => Ok(PerChannel([one; 3])),
                    [a, b, c] => Ok(PerChannel([a, b, c])),
                    _ => Err(de::Error::invalid_length(values.len(), &self)),
                }
            }
        }

        deserializer.deserialize_any(OneOrThree)
    }
}

/// What is special to a detector.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorSpec {
    /// How the outputs read.
    pub decoder: Decoder,
    /// How a picture is brought to the input's size.
    pub fit: Fit,
    /// Letterbox: the longer side in pixels that pictures are scaled to.
    pub max_side: Option<u32>,
    /// Letterbox: both sides are padded to a multiple of so many pixels.
    pub multiple_of: Option<u32>,
    /// Names of the output tensors, in the order the decoder takes them.
    pub outputs: Vec<String>,
    /// Scores below this are no faces, 0..=1.
    pub score_threshold: f32,
    /// Of boxes that overlap by more (intersection over union) only the best is kept, 0..=1.
    pub nms_iou: f32,
    /// Name of the model that finds the five points, for a detector that gives none.
    pub landmarks: Option<String>,
}

/// How a detector's outputs read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decoder {
    /// Heat map, scale, offset and landmarks at stride 4.
    Centerface,
    /// Scores, and corners as fractions of the input's size.
    Ultralight,
    /// Scores, then distances, then points, each at strides 8, 16 and 32.
    Scrfd,
}

impl Decoder {
    /// How many output tensors it takes.
    #[must_use]
    pub fn outputs(self) -> usize {
        match self {
            Self::Centerface => 4,
            Self::Ultralight => 2,
            Self::Scrfd => 9,
        }
    }

    /// Whether the outputs hold the five points of each face.
    #[must_use]
    pub fn gives_landmarks(self) -> bool {
        !matches!(self, Self::Ultralight)
    }
}

/// How a picture is brought to a detector's input size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Scaled with its aspect ratio kept, then padded.
    Letterbox,
    /// Scaled to `input.size` whatever its aspect ratio.
    Stretch,
}

/// What is special to a model of facial points.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LandmarksSpec {
    /// Name of the output tensor: x and y of each point as fractions of the crop.
    pub output: String,
    /// For each of the five points, in the order of [`crate::domain::Landmarks`], the points (from 0) whose mean
    /// it is.
    pub five_points: [Vec<usize>; 5],
}

/// What is special to an embedder.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedderSpec {
    /// Name of the output tensor.
    pub output: String,
    /// How many numbers it gives.
    pub dimension: usize,
    /// Whether the numbers are scaled to length 1.
    pub l2_normalise: bool,
    /// What the model was trained with.
    pub metric: Metric,
    /// Where the five points of the face lie in the input, x and y in its pixels.
    pub alignment: [[f32; 2]; 5],
    /// The distance up to which two faces count as one person: `1 - cosine`, or the Euclidean distance.
    pub threshold: f32,
}

impl EmbedderSpec {
    /// The points of [`EmbedderSpec::alignment`].
    #[must_use]
    pub fn template(&self) -> Landmarks {
        self.alignment.map(|[x, y]| Point::new(x, y))
    }

    /// The threshold as a similarity, as [`crate::domain::Similarity`] defines it for each metric.
    ///
    /// # Errors
    /// Never for a manifest that was read and checked: its threshold is from 0 to 2.
    pub fn min_similarity(&self) -> Result<Threshold, NotAScore> {
        Threshold::new(match self.metric {
            Metric::Cosine => 1.0 - self.threshold,
            Metric::Euclidean => 1.0 - self.threshold * self.threshold / 2.0,
        })
    }
}

/// How two embeddings are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The angle between them.
    Cosine,
    /// The straight line between them.
    Euclidean,
}

/// What is special to a liveness model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LivenessSpec {
    /// Name of the output tensor: logits, one for each class.
    pub output: String,
    /// The crop is the detector's box, scaled so about its centre.
    pub crop_scale: f32,
    /// Which class, from 0, is a live face.
    pub live_index: usize,
}

/// What a model does, before its section has been looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RoleName {
    Detector,
    Landmarks,
    Embedder,
    Liveness,
}

/// The manifest as it is written. One more section than the role's is an error that [`check`] finds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) schema: u32,
    pub(super) name: String,
    pub(super) role: RoleName,
    pub(super) file: String,
    pub(super) sha256: String,
    pub(super) licence: String,
    pub(super) notes: Option<String>,
    pub(super) source: Option<Source>,
    pub(super) input: Input,
    pub(super) detector: Option<DetectorSpec>,
    pub(super) landmarks: Option<LandmarksSpec>,
    pub(super) embedder: Option<EmbedderSpec>,
    pub(super) liveness: Option<LivenessSpec>,
    pub(super) calibration: Option<Calibration>,
}

impl Written {
    fn into_role(self) -> Option<Role> {
        match self.role {
            RoleName::Detector => self.detector.map(Role::Detector),
            RoleName::Landmarks => self.landmarks.map(Role::Landmarks),
            RoleName::Embedder => self.embedder.map(Role::Embedder),
            RoleName::Liveness => self.liveness.map(Role::Liveness),
        }
    }
}

impl Manifest {
    /// Reads and checks the text of a manifest. `file_name` is what messages call it.
    ///
    /// # Errors
    /// [`ConfigError::Faults`]: the first fault in the form of the text, or else all faults in what it says.
    pub fn from_yaml(text: &str, file_name: &str) -> Result<Self, ConfigError> {
        let (written, tree) = typed::<Written>(text, file_name)?;
        sorted(&check(&written), &tree, (file_name, text))?;
        let Written { name, file, licence, notes, source, input, calibration, .. } = written.clone();
        let sha256 = written.sha256.to_ascii_lowercase();
        let Some(role) = written.into_role() else { unreachable!("a role without its section is an error") };
        Ok(Self { name, file, sha256, licence, notes, source, input, role, calibration })
    }

    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`ConfigError::Read`] if it cannot be read, otherwise as [`Manifest::from_yaml`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::from_yaml(&read_text(path)?, &path.display().to_string())
    }

    /// Everything that changes what an embedding means, as bytes to be hashed for
    /// [`crate::domain::ModelDigest`]: the model file's SHA-256, how pictures are fed to it, the alignment, and
    /// which output is taken and whether it is normalised.
    ///
    /// The order of keys, comments, spelling of numbers, licence, notes, source, names, the threshold and the
    /// calibration leave it as it is. One line for each setting; numbers as the bits of their `f32`, texts with anything but plain ASCII escaped, so that
    /// no two manifests that differ give the same bytes. The first line is the version of this very format: with
    /// any change to it all digests change, and everybody is enrolled anew.
    #[must_use]
    pub fn digest_input(&self) -> Vec<u8> {
        // Adding 0 turns -0 into 0: the same number, written otherwise.
        let bits = |values: &[f32]| {
            values.iter().map(|v| format!("{:08x}", (v + 0.0).to_bits())).collect::<Vec<_>>().join(" ")
        };
        let input = &self.input;
        let channels = input.colour.channels();
        let mut lines = vec![
            "facewarden-model-1".to_owned(),
            format!("role {}", self.role.name()),
            format!("file {}", self.sha256),
            format!("input {}", input.name.escape_default()),
            format!("layout {}", input.layout.as_str()),
            format!("colour {}", input.colour.as_str()),
            input.size.map_or("size free".to_owned(), |[width, height]| format!("size {width} {height}")),
            format!("mean {}", bits(&input.mean.0[..channels])),
            format!("scale {}", bits(&input.scale.0[..channels])),
        ];
        if let Role::Embedder(embedder) = &self.role {
            lines.push(format!("output {}", embedder.output.escape_default()));
            lines.push(format!("l2_normalise {}", embedder.l2_normalise));
            lines.push(format!("alignment {}", bits(embedder.alignment.as_flattened())));
        }
        let mut text = lines.join("\n");
        text.push('\n');
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMBEDDER: &str = "\
schema: 1
name: mine
role: embedder
file: mine.onnx
sha256: 87aacdfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf3581
licence: MIT
input: {name: input, layout: nchw, colour: bgr, size: [112, 112], mean: 127, scale: [128.0, 128.0, 128.0]}
embedder:
  output: output
  dimension: 512
  l2_normalise: true
  metric: cosine
  alignment: [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
  threshold: 0.588
";

    const CALIBRATION: &str = "\
calibration:
  data: made up
  date: 2026-11-23
  detector: none
  images: 10
  people: 5
  genuine_pairs: 10
  impostor_pairs: 40
  false_match: [[-0.2, 1, 0.9, 1], [0.4, 1.0e-4, 5e-5, 2e-4]]
  tail: {decades_per_unit: 10, at_least: 5}
  false_non_match: [[0.1, 0, 0, 0.1], [0.9, 0.9, 0.8, 1]]
";

    #[test]
    fn a_calibration_is_read_and_checked() {
        let whole = format!("{EMBEDDER}{CALIBRATION}");
        let calibration = read(&whole).calibration.unwrap();
        assert_eq!((calibration.date.as_str(), calibration.people), ("2026-11-23", 5));
        assert_eq!(calibration.false_match[1].rate, 1e-4);
        assert_eq!(read(EMBEDDER).calibration, None);
        for (old, new, line, message) in [
            ("5e-5, 2e-4", "5e-5, 6e-5", 23, "point 2 of `false_match` has a rate outside its own interval"),
            ("[[0.1, 0, 0, 0.1], ", "[", 25, "`false_non_match` needs at least two points"),
            ("at_least: 5", "at_least: 50", 24, "`tail` must fall"),
            ("2e-4]]", "2e-4, 1]]", 23, ""),
            ("people: 5", "persons: 5", 20, "people"),
        ] {
            let changed = whole.replace(old, new);
            assert_ne!(changed, whole);
            let error = Manifest::from_yaml(&changed, "mine.yaml").unwrap_err();
            let fault = &error.diagnostics()[0];
            assert_eq!(fault.place.map(|place| place.line), Some(line), "{error}");
            assert!(fault.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn only_an_embedder_has_a_calibration() {
        let text = EMBEDDER.split("embedder:\n").next().unwrap().replace("role: embedder", "role: liveness");
        let text = format!("{text}liveness: {{output: y, crop_scale: 2.7, live_index: 0}}\n{CALIBRATION}");
        let error = Manifest::from_yaml(&text, "mine.yaml").unwrap_err();
        assert!(error.to_string().contains("`calibration` does not go with this `role`"), "{error}");
        assert_eq!(error.diagnostics()[0].place.map(|place| place.line), Some(9));
    }

    fn read(text: &str) -> Manifest {
        Manifest::from_yaml(text, "mine.yaml").unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn digest_input_is_pinned() {
        let text = String::from_utf8(read(EMBEDDER).digest_input()).unwrap();
        let expected = "\
facewarden-model-1
role embedder
file 87aacdfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf3581
input input
layout nchw
colour bgr
size 112 112
mean 42fe0000 42fe0000 42fe0000
scale 43000000 43000000 43000000
output output
l2_normalise true
alignment 42192dac 424ec903 42931048 424e016f 426019ce 428f7924 4226327c 42b8bb23 428d75b5 42b86880
";
        assert_eq!(text, expected);
    }

    #[test]
    fn digest_input_ignores_what_does_not_change_an_embedding() {
        let same = read(EMBEDDER).digest_input();
        let (first, rest) = EMBEDDER.split_at(EMBEDDER.find("input:").unwrap());
        let (input, section) = rest.split_at(rest.find("embedder:").unwrap());
        for (what, text) in [
            ("order of keys", format!("{section}{input}{first}")),
            ("a comment", format!("# mine\n{EMBEDDER}")),
            ("a note", format!("{EMBEDDER}notes: new\n")),
            ("licence", EMBEDDER.replace("MIT", "Apache-2.0")),
            ("name", EMBEDDER.replace("name: mine", "name: ours")),
            ("threshold", EMBEDDER.replace("0.588", "0.6")),
            ("calibration", format!("{EMBEDDER}{CALIBRATION}")),
            ("spelling of a number", EMBEDDER.replace("mean: 127", "mean: [127.0]")),
            ("case of the hash", EMBEDDER.replace("87aacdfe", "87AACDFE")),
        ] {
            assert_eq!(read(&text).digest_input(), same, "{what}");
        }
    }

    #[test]
    fn digest_input_tells_apart_what_changes_an_embedding() {
        let mut seen = std::collections::HashSet::from([read(EMBEDDER).digest_input()]);
        for (old, new) in [
            ("87aacdfe", "87aacdff"),
            ("name: input", "name: data"),
            ("nchw", "nhwc"),
            ("bgr", "rgb"),
            ("[112, 112]", "[113, 113]"),
            ("mean: 127", "mean: 127.5"),
            ("128.0, 128.0, 128.0", "128.0, 128.0, 127.0"),
            ("output: output", "output: other"),
            ("l2_normalise: true", "l2_normalise: false"),
            ("38.2946", "38.3"),
        ] {
            let changed = EMBEDDER.replace(old, new);
            assert_ne!(changed, EMBEDDER);
            assert!(seen.insert(read(&changed).digest_input()), "{old} -> {new}");
        }
    }

    #[test]
    fn thresholds_become_similarities() {
        let of = |metric: &str, distance: &str| {
            let text = EMBEDDER.replace("metric: cosine", metric).replace("0.588", distance);
            match read(&text).role {
                Role::Embedder(embedder) => embedder.min_similarity().unwrap().value(),
                other => panic!("{other:?}"),
            }
        };
        assert!((of("metric: cosine", "0.588") - 0.412).abs() < 1e-6);
        assert!((of("metric: euclidean", "0.474") - 0.887_662).abs() < 1e-6);
        assert!((of("metric: euclidean", "2") + 1.0).abs() < 1e-6);
    }
}
