//! Names and numbers that identify things.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing but white space.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than 128 bytes.
    #[error("a name has at most {MAX_NAME_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// A control character would break logs and line-based output.
    #[error("a name cannot contain control characters (tab, new line, escape...)")]
    ControlCharacter,
}

/// The longest name, in bytes of UTF-8.
pub(super) const MAX_NAME_BYTES: usize = 128;

fn checked(text: &str) -> Result<Arc<str>, InvalidName> {
    let text = text.trim();
    if text.is_empty() {
        return Err(InvalidName::Empty);
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(InvalidName::TooLong(text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidName::ControlCharacter);
    }
    Ok(text.into())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(#[schemars(with = "String")] Arc<str>);

        impl $type {
            /// Takes a name, trimmed of white space at its ends.
            ///
            /// # Errors
            /// [`InvalidName`] if it is empty, too long or has control characters.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                checked(text).map(Self)
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl std::str::FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// Who somebody is: the name they were enrolled under. 1 to 128 bytes, no control characters.
    PersonId
}

name! {
    /// A group that people belong to: "staff", "third floor". 1 to 128 bytes, no control characters.
    GroupId
}

name! {
    /// Which camera, as the configuration calls it.
    CameraId
}

/// Which track. Counts up from 1 over the life of one camera's pipeline and is never used twice.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct TrackId(pub u64);

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
