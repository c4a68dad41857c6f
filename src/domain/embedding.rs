//! The numbers a face becomes.

use std::fmt;
use std::sync::Arc;

use super::score::Similarity;

/// Names a model exactly: a SHA-256 over the weights and over how pictures are fed to them. Embeddings with
/// different digests mean different things and are never compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelDigest(pub [u8; 32]);

impl fmt::Display for ModelDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ModelDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl ModelDigest {
    /// Reads 64 hexadecimal digits; `None` for anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The first 12 hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

/// Why numbers are no embedding, or two embeddings cannot be compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EmbeddingError {
    /// No numbers at all.
    #[error("an embedding cannot be empty")]
    Empty,
    /// NaN or infinity among the numbers.
    #[error("number {0} of the embedding is not finite")]
    NotFinite(usize),
    /// All zero: it has no direction.
    #[error("an embedding of zeros has no direction")]
    Zero,
    /// Made by different models.
    #[error("these embeddings were made by different models ({} and {}) and cannot be compared", .0.short(), .1.short())]
    OtherModel(ModelDigest, ModelDigest),
    /// Same model, different length: one of them is damaged.
    #[error("these embeddings have {0} and {1} numbers: one of them is damaged")]
    OtherLength(usize, usize),
}

/// A face as a vector, together with the digest of the model that made it. Cloning shares the numbers.
#[derive(Clone)]
pub struct Embedding {
    model: ModelDigest,
    values: Arc<[f32]>,
    strength: f32,
}

impl PartialEq for Embedding {
    /// By model and numbers: the strength of one that was stored is not known any more.
    fn eq(&self, other: &Self) -> bool {
        self.model == other.model && self.values == other.values
    }
}

impl fmt::Debug for Embedding {
    /// Shows the model and the length only: the numbers are biometric data and belong in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedding({} numbers by {})", self.values.len(), self.model.short())
    }
}

impl Embedding {
    /// Takes the numbers as the model gave them (or scaled to length 1, where the manifest says so).
    ///
    /// # Errors
    /// If there are none, any of them is not finite, or all are zero.
    pub fn new(model: ModelDigest, values: Vec<f32>) -> Result<Self, EmbeddingError> {
        if values.is_empty() {
            return Err(EmbeddingError::Empty);
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(EmbeddingError::NotFinite(at));
        }
        if values.iter().all(|v| *v == 0.0) {
            return Err(EmbeddingError::Zero);
        }
        Ok(Self { model, values: values.into(), strength: 1.0 })
    }

    /// Takes the numbers as the model gave them and scales them to length 1. The length they had is kept as the
    /// [`Embedding::strength`].
    ///
    /// # Errors
    /// As [`Embedding::new`].
    pub fn scaled(model: ModelDigest, mut values: Vec<f32>) -> Result<Self, EmbeddingError> {
        let length = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        #[expect(clippy::cast_possible_truncation, reason = "f32 is the precision of the model")]
        values.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
        // The length of nothing, or of what is no number, is refused with the numbers.
        let embedding = Self::new(model, values)?;
        #[expect(clippy::cast_possible_truncation, reason = "f32 is the precision of the model")]
        Ok(Self { strength: length as f32, ..embedding })
    }

    /// Length of the vector before it was scaled to 1; 1 where that is not known. The more a model makes of a
    /// picture, the longer it is: on degraded photos it follows the similarity to a good one far better than any
    /// measure of the picture does (`facewarden bench --only visits`). It knows nothing of whom the face resembles.
    #[must_use]
    pub fn strength(&self) -> f32 {
        self.strength
    }

    /// The model that made it.
    #[must_use]
    pub fn model(&self) -> ModelDigest {
        self.model
    }

    /// The numbers.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Cosine similarity.
    ///
    /// # Errors
    /// If the two were made by different models or differ in length.
    pub fn cosine(&self, other: &Self) -> Result<Similarity, EmbeddingError> {
        self.check_comparable(other)?;
        let (mut dot, mut a2, mut b2) = (0.0_f64, 0.0_f64, 0.0_f64);
        for (&a, &b) in self.values.iter().zip(&*other.values) {
            let (a, b) = (f64::from(a), f64::from(b));
            dot += a * b;
            a2 += a * a;
            b2 += b * b;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a ratio between -1 and 1")]
        let cosine = (dot / (a2.sqrt() * b2.sqrt())) as f32;
        Ok(Similarity::new(cosine).unwrap_or_else(|_| unreachable!("finite, non-zero vectors have a cosine")))
    }

    /// Straight-line distance between the two vectors, 0 and up.
    ///
    /// # Errors
    /// If the two were made by different models or differ in length.
    pub fn euclidean(&self, other: &Self) -> Result<f32, EmbeddingError> {
        self.check_comparable(other)?;
        let squared: f64 =
            self.values.iter().zip(&*other.values).map(|(&a, &b)| f64::from(a - b).powi(2)).sum();
        #[expect(clippy::cast_possible_truncation, reason = "f32 is the precision of the inputs")]
        Ok(squared.sqrt() as f32)
    }

    /// Whether the two may be compared at all.
    ///
    /// # Errors
    /// If the two were made by different models or differ in length.
    pub fn check_comparable(&self, other: &Self) -> Result<(), EmbeddingError> {
        if self.model != other.model {
            return Err(EmbeddingError::OtherModel(self.model, other.model));
        }
        if self.values.len() != other.values.len() {
            return Err(EmbeddingError::OtherLength(self.values.len(), other.values.len()));
        }
        Ok(())
    }
}
