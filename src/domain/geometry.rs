//! Points and boxes in pixel space. x to the right, y down, the origin at the top left corner of the image.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A point, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// To the right.
    pub x: f32,
    /// Down.
    pub y: f32,
}

impl Point {
    /// The point at (`x`, `y`).
    #[must_use]
    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }

    /// Straight-line distance in pixels.
    #[must_use]
    pub fn distance(self, other: Self) -> f32 {
        (self.x - other.x).hypot(self.y - other.y)
    }
}

/// The five points of a face, in this order: the eye on the left of the image, the other eye, the nose tip,
/// the mouth corner on the left of the image, the other corner.
pub type Landmarks = [Point; 5];

/// An axis-aligned box, in pixels. `x2`, `y2` are the far edges: width is `x2 - x1`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Rect {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Bottom edge.
    pub y2: f32,
}

impl Rect {
    /// The box between two corners.
    #[must_use]
    pub const fn new(x1: f32, y1: f32, x2: f32, y2: f32) -> Self {
        Self { x1, y1, x2, y2 }
    }

    /// Width, never negative.
    #[must_use]
    pub fn width(self) -> f32 {
        (self.x2 - self.x1).max(0.0)
    }

    /// Height, never negative.
    #[must_use]
    pub fn height(self) -> f32 {
        (self.y2 - self.y1).max(0.0)
    }

    /// Area in square pixels; 0 for an inverted box.
    #[must_use]
    pub fn area(self) -> f32 {
        self.width() * self.height()
    }

    /// The middle.
    #[must_use]
    pub fn centre(self) -> Point {
        Point::new(f32::midpoint(self.x1, self.x2), f32::midpoint(self.y1, self.y2))
    }

    /// Intersection over union, 0..=1. Two empty boxes overlap by 0.
    #[must_use]
    pub fn iou(self, other: Self) -> f32 {
        let shared = Self::new(
            self.x1.max(other.x1),
            self.y1.max(other.y1),
            self.x2.min(other.x2),
            self.y2.min(other.y2),
        )
        .area();
        let union = self.area() + other.area() - shared;
        if union > 0.0 { (shared / union).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Moved and scaled: each coordinate `v` becomes `v * scale + offset`.
    #[must_use]
    pub fn scaled(self, scale_x: f32, scale_y: f32) -> Self {
        Self::new(self.x1 * scale_x, self.y1 * scale_y, self.x2 * scale_x, self.y2 * scale_y)
    }

    /// True if all four edges are finite numbers and the box has an area.
    #[must_use]
    pub fn is_sound(self) -> bool {
        [self.x1, self.y1, self.x2, self.y2].iter().all(|v| v.is_finite())
            && self.x2 > self.x1
            && self.y2 > self.y1
    }
}
