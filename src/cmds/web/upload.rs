//! Pictures that are sent: in JSON as base64 or a data URI, or as files of a form. Never named by a path or an address.

use axum::body::Bytes;
use axum::extract::{FromRequest as _, Multipart, Request};
use axum::http::{StatusCode, header};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use image::RgbImage;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::take::body;
use crate::config::HttpVerify;
use crate::http::Problem;
use crate::vision::photo::{PhotoError, decode_up_to};

/// Either alphabet, with or without padding.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(false);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
/// Fields of a form that are no files: at most so many bytes each, unless they are pictures.
const MAX_FIELD_BYTES: usize = 4096;
/// More fields than this are a mistake.
const MAX_FIELDS: usize = 64;

/// What pictures may be like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) bytes: usize,
    pub(super) pixels: u64,
}

impl Limits {
    pub(super) fn of(settings: &HttpVerify) -> Self {
        Self {
            bytes: usize::try_from(settings.max_picture_mb).unwrap_or(usize::MAX).saturating_mul(1_000_000),
            pixels: u64::from(settings.max_megapixels) * 1_000_000,
        }
    }

    /// The largest body with so many pictures in it, which base64 makes a third larger.
    pub(super) fn body(self, pictures: usize) -> usize {
        self.bytes.saturating_mul(pictures).saturating_mul(4) / 3 + 64 * 1024
    }
}

/// A picture as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Picture {
    /// A file of a form.
    File(Bytes),
    /// Text that should be base64.
    Text(String),
}

impl Picture {
    /// The picture; `what` names it in errors.
    ///
    /// # Errors
    /// 400 if it is none, 413 if it is larger than allowed; nothing was decoded then.
    pub(super) fn decode(&self, what: &str, limits: Limits) -> Result<RgbImage, Problem> {
        match self {
            Self::File(bytes) => decode_bytes(bytes, what, limits),
            Self::Text(text) => decode_text(text, what, limits),
        }
    }
}

/// The picture in a text, base64 or a data URI; `what` names it in errors.
///
/// # Errors
/// As [`Picture::decode`].
pub(super) fn decode_text(text: &str, what: &str, limits: Limits) -> Result<RgbImage, Problem> {
    decode_bytes(&from_text(text, what)?, what, limits)
}

fn decode_bytes(bytes: &[u8], what: &str, limits: Limits) -> Result<RgbImage, Problem> {
    if bytes.len() > limits.bytes {
        let message = format!("`{what}` is larger than {} MB", limits.bytes / 1_000_000);
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message));
    }
    decode_up_to(bytes, limits.pixels).map_err(|error| {
        let message = format!("`{what}`: {error}");
        match error {
            PhotoError::TooLarge { .. } => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_pixels", message)
            }
            _ => Problem::bad("no_picture", message),
        }
    })
}

/// The bytes of a data URI or of plain base64.
fn from_text(text: &str, what: &str) -> Result<Vec<u8>, Problem> {
    let text = text.trim();
    let encoded = match text.strip_prefix("data:") {
        Some(uri) => {
            let (kind, data) = uri.split_once(',').unwrap_or_default();
            if !kind.to_ascii_lowercase().ends_with(";base64") {
                let message = format!("`{what}` is a data URI without `;base64,`");
                return Err(Problem::bad("no_picture", message));
            }
            data
        }
        None => text,
    };
    if encoded.contains("://") {
        let message =
            format!("`{what}` is an address: pictures are sent as base64, this server fetches none");
        return Err(Problem::bad("address", message));
    }
    let compact: Vec<u8> = encoded.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let decoded = STANDARD.decode(&compact).or_else(|_| URL_SAFE.decode(&compact));
    match decoded {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        Ok(_) => Err(Problem::bad("no_picture", format!("`{what}` is empty"))),
        Err(_) => {
            let message = format!(
                "`{what}` is no base64: send the picture itself, as base64 or a data URI; paths of files are not read"
            );
            Err(Problem::bad("not_base64", message))
        }
    }
}

/// What was sent: pictures by the names of their fields, and the other fields.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pictures: Vec<(String, Picture)>,
    others: Map<String, Value>,
}

impl Fields {
    /// Reads JSON or a form; fields of these names are pictures.
    ///
    /// # Errors
    /// 400, 413 or 415.
    pub(super) async fn read(request: Request, is_picture: fn(&str) -> bool) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).map(|kind| kind.trim().to_ascii_lowercase());
        match kind.as_deref() {
            Some("application/json") => Self::from_json(&body(request, &()).await?, is_picture),
            Some("multipart/form-data") => Self::from_form(request, is_picture).await,
            _ => {
                let message =
                    "send JSON (`Content-Type: application/json`) or a form (`multipart/form-data`)";
                Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message))
            }
        }
    }

    fn from_json(bytes: &[u8], is_picture: fn(&str) -> bool) -> Result<Self, Problem> {
        let all: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|error| Problem::bad("bad_json", error))?;
        let mut fields = Self::default();
        for (name, value) in all {
            match value {
                Value::String(text) if is_picture(&name) => fields.pictures.push((name, Picture::Text(text))),
                Value::Null if is_picture(&name) => (),
                _ if is_picture(&name) => {
                    return Err(Problem::bad(
                        "no_picture",
                        format!("`{name}` is no text with a picture in base64"),
                    ));
                }
                other => drop(fields.others.insert(name, other)),
            }
        }
        Ok(fields)
    }

    async fn from_form(request: Request, is_picture: fn(&str) -> bool) -> Result<Self, Problem> {
        let odd = |error: axum::extract::multipart::MultipartError| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "what was sent is too large")
            }
            _ => Problem::bad("bad_form", format!("the form cannot be read: {}", error.body_text())),
        };
        let form = Multipart::from_request(request, &()).await;
        let mut form = form.map_err(|error| Problem::bad("bad_form", error.body_text()))?;
        let mut fields = Self::default();
        while let Some(field) = form.next_field().await.map_err(odd)? {
            let name = field.name().unwrap_or_default().to_owned();
            let is_file = field.file_name().is_some();
            let bytes = field.bytes().await.map_err(odd)?;
            if is_picture(&name) && is_file {
                fields.pictures.push((name, Picture::File(bytes)));
            } else if bytes.len() > MAX_FIELD_BYTES && !is_picture(&name) {
                return Err(Problem::bad("bad_form", format!("`{}` is too long", name.escape_debug())));
            } else {
                let text = std::str::from_utf8(&bytes).map(str::to_owned);
                let text = text
                    .map_err(|_| Problem::bad("bad_form", format!("`{}` is no text", name.escape_debug())))?;
                if is_picture(&name) {
                    fields.pictures.push((name, Picture::Text(text)));
                } else {
                    fields.others.insert(name, scalar(&text));
                }
            }
            if fields.pictures.len() + fields.others.len() > MAX_FIELDS {
                return Err(Problem::bad("bad_form", format!("a form has at most {MAX_FIELDS} fields")));
            }
        }
        Ok(fields)
    }

    /// Takes out the one picture that has one of these names.
    ///
    /// # Errors
    /// 400 if there is none, or more than one.
    pub(super) fn picture(&mut self, names: &[&str]) -> Result<Picture, Problem> {
        let at: Vec<usize> =
            (0..self.pictures.len()).filter(|at| names.contains(&self.pictures[*at].0.as_str())).collect();
        match at[..] {
            [at] => Ok(self.pictures.swap_remove(at).1),
            [] => Err(Problem::bad(
                "missing_picture",
                format!("`{}` is missing: a picture in base64", names[0]),
            )),
            _ => Err(Problem::bad("several_pictures", format!("`{}` is there more than once", names[0]))),
        }
    }

    /// The fields that are no pictures, as a structure that says which there may be.
    ///
    /// # Errors
    /// 400 if one is unknown or of another kind.
    pub(super) fn options<T: DeserializeOwned>(self) -> Result<T, Problem> {
        serde_json::from_value(Value::Object(self.others)).map_err(|error| Problem::bad("bad_field", error))
    }
}

/// A field of a form as what it says: forms have texts alone. `false` is false and not a text.
fn scalar(text: &str) -> Value {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => true.into(),
        "false" => false.into(),
        "null" | "none" => Value::Null,
        other => other.parse::<serde_json::Number>().map_or_else(|_| text.into(), Value::Number),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(text: &str) -> Result<Vec<u8>, &'static str> {
        from_text(text, "img").map_err(|problem| problem.code)
    }

    #[test]
    fn base64_is_read_in_all_its_forms_and_nothing_else_is() {
        for text in
            ["+/8=", "-_8=", "-_8", "+/8", " +/\n8= ", "data:image/jpeg;base64,+/8=", "data:;BASE64,-_8"]
        {
            assert_eq!(code(text), Ok(vec![0xFB, 0xFF]), "{text}");
        }
        for (text, expected) in [
            ("", "no_picture"),
            ("data:image/jpeg;base64,", "no_picture"),
            ("data:image/jpeg,abc", "no_picture"),
            ("https://example.org/a.jpg", "address"),
            ("file:///etc/passwd", "address"),
            ("/etc/passwd.jpg", "not_base64"),
            ("tests/dataset/img1.jpg", "not_base64"),
            ("../img1.jpg", "not_base64"),
            ("+/_8", "not_base64"),
            ("a", "not_base64"),
        ] {
            assert_eq!(code(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn fields_of_forms_say_what_they_are() {
        for (text, value) in [
            ("false", Value::Bool(false)),
            ("True", Value::Bool(true)),
            ("None", Value::Null),
            ("0", 0.into()),
            ("0.4", 0.4.into()),
            ("NaN", "NaN".into()),
            ("no", "no".into()),
            ("cosine", "cosine".into()),
        ] {
            assert_eq!(scalar(text), value, "{text}");
        }
    }

    #[test]
    fn a_large_picture_is_refused_before_it_is_decoded() {
        let limits = Limits { bytes: 100, pixels: 1_000_000 };
        let large = Picture::File(vec![0; 101].into()).decode("img", limits).unwrap_err();
        assert_eq!((large.status.as_u16(), large.code), (413, "too_large"));
        // A PNM header that promises 2000 x 1000 pixels.
        let many = Picture::File("P6 2000 1000 255\n".into()).decode("img", limits).unwrap_err();
        assert_eq!((many.status.as_u16(), many.code), (413, "too_many_pixels"));
        let none = Picture::File("Dear diary".into()).decode("img", limits).unwrap_err();
        assert_eq!((none.status.as_u16(), none.code), (400, "no_picture"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            drop(from_text(&text, "img"));
        }
    }
}
