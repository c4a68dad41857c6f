//! How fast recordings are played.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How fast files are played. In the file: `real`, `max`, or a number.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Speed {
    /// At the source's own rate; the newest frame wins.
    #[default]
    Real,
    /// Every frame, as fast as possible.
    Max,
    /// So many times as fast as the source's own rate; the newest frame wins, and the recording's own time is the time.
    Times(f64),
}

const WORDS: [&str; 2] = ["real", "max"];
const EXPECTED: &str = "`real`, `max`, or how many times as fast, such as 10";

impl Speed {
    /// How many times as fast as its own rate a recording is played; `None` where it does not wait for its time.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        match self {
            Self::Real => Some(1.0),
            Self::Max => None,
            Self::Times(times) => Some(times),
        }
    }
}

/// Text that is no speed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no speed: write {EXPECTED}")]
pub struct InvalidSpeed(String);

impl FromStr for Speed {
    type Err = InvalidSpeed;

    fn from_str(text: &str) -> Result<Self, InvalidSpeed> {
        match text {
            "real" => Ok(Self::Real),
            "max" => Ok(Self::Max),
            // As people write it: 10 or 10x.
            number => {
                let times = number.strip_suffix('x').unwrap_or(number).parse().ok();
                times
                    .filter(|times: &f64| times.is_finite())
                    .map(Self::Times)
                    .ok_or_else(|| InvalidSpeed(text.to_owned()))
            }
        }
    }
}

impl Serialize for Speed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Real => serializer.serialize_str("real"),
            Self::Max => serializer.serialize_str("max"),
            Self::Times(times) => serializer.serialize_f64(*times),
        }
    }
}

impl<'de> Deserialize<'de> for Speed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = Speed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Speed, E> {
                text.parse().map_err(|_| match text.parse::<f64>() {
                    Ok(_) => de::Error::invalid_value(Unexpected::Str(text), &self),
                    Err(_) => de::Error::unknown_variant(text, &WORDS),
                })
            }

            fn visit_f64<E: de::Error>(self, times: f64) -> Result<Speed, E> {
                Ok(Speed::Times(times))
            }

            #[expect(clippy::cast_precision_loss, reason = "no speed is that high")]
            fn visit_u64<E: de::Error>(self, times: u64) -> Result<Speed, E> {
                Ok(Speed::Times(times as f64))
            }

            #[expect(clippy::cast_precision_loss, reason = "no speed is that low")]
            fn visit_i64<E: de::Error>(self, times: i64) -> Result<Speed, E> {
                Ok(Speed::Times(times as f64))
            }
        }
        deserializer.deserialize_any(Word)
    }
}

impl JsonSchema for Speed {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Speed".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "How fast files are played.",
            "anyOf": [{ "type": "string", "enum": WORDS }, { "type": "number" }]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_words_or_numbers() {
        for (text, speed) in [
            ("real", Speed::Real),
            ("max", Speed::Max),
            ("10", Speed::Times(10.0)),
            ("10x", Speed::Times(10.0)),
            ("0.5", Speed::Times(0.5)),
        ] {
            assert_eq!(text.parse(), Ok(speed));
            let written = serde_json::to_string(&speed).unwrap();
            assert_eq!(serde_json::from_str::<Speed>(&written).unwrap(), speed, "{written}");
            assert_eq!(serde_yaml::from_str::<Speed>(text).unwrap(), speed, "{text}");
        }
        for text in ["fast", "x", "", "nan", "infx"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
            assert!(serde_yaml::from_str::<Speed>(&format!("{text:?}")).is_err(), "{text}");
        }
    }
}
