//! Pixels to the numbers that a model wants.

use image::RgbImage;

/// Order of the numbers of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Plane after plane: `[1, channels, height, width]`.
    Nchw,
    /// Pixel after pixel: `[1, height, width, channels]`.
    Nhwc,
}

/// Order of the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
    /// One channel: luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded to a whole number.
    Grey,
}

/// How a model is fed: the value is `(pixel - mean) / scale` with pixels in 0..=255, per channel in the order
/// of `colour`; `Grey` uses the first mean and scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// Order of the numbers.
    pub layout: Layout,
    /// Order of the channels.
    pub colour: Colour,
    /// Subtracted.
    pub mean: [f32; 3],
    /// Divided by; never 0.
    pub scale: [f32; 3],
}

impl Feed {
    /// The shape of the tensor for a picture of this size.
    #[must_use]
    pub fn shape(&self, width: u32, height: u32) -> [usize; 4] {
        let (w, h) = (width as usize, height as usize);
        match self.layout {
            Layout::Nchw => [1, self.channels(), h, w],
            Layout::Nhwc => [1, h, w, self.channels()],
        }
    }

    /// 3, or 1 for grey.
    #[must_use]
    pub fn channels(&self) -> usize {
        if self.colour == Colour::Grey { 1 } else { 3 }
    }

    /// Writes the picture's numbers into `tensor`, which is resized to fit and may be used again.
    pub fn fill(&self, picture: &RgbImage, tensor: &mut Vec<f32>) {
        let pixels = picture.as_raw();
        let area = pixels.len() / 3;
        tensor.clear();
        tensor.resize(area * self.channels(), 0.0);
        if self.colour == Colour::Grey {
            let (mean, factor) = (self.mean[0], 1.0 / self.scale[0]);
            for (value, pixel) in tensor.iter_mut().zip(pixels.chunks_exact(3)) {
                *value = (luma(pixel).round() - mean) * factor;
            }
            return;
        }
        // A table of 256 values a channel costs less than the arithmetic and rounds the same way for all.
        let tables: [[f32; 256]; 3] = std::array::from_fn(|channel| {
            std::array::from_fn(|v| {
                #[expect(clippy::cast_precision_loss, reason = "0..=255 is exact")]
                let pixel = v as f32;
                (pixel - self.mean[channel]) / self.scale[channel]
            })
        });
        let source_of = |channel: usize| if self.colour == Colour::Bgr { 2 - channel } else { channel };
        match self.layout {
            Layout::Nchw => {
                for (channel, plane) in tensor.chunks_exact_mut(area.max(1)).enumerate() {
                    let (table, source) = (&tables[channel], source_of(channel));
                    for (value, pixel) in plane.iter_mut().zip(pixels.chunks_exact(3)) {
                        *value = table[usize::from(pixel[source])];
                    }
                }
            }
            Layout::Nhwc => {
                for (values, pixel) in tensor.chunks_exact_mut(3).zip(pixels.chunks_exact(3)) {
                    for (channel, value) in values.iter_mut().enumerate() {
                        *value = tables[channel][usize::from(pixel[source_of(channel)])];
                    }
                }
            }
        }
    }
}

/// Luma of an RGB pixel, 0..=255 (ITU-R BT.601 weights).
#[must_use]
pub fn luma(rgb: &[u8]) -> f32 {
    0.299 * f32::from(rgb[0]) + 0.587 * f32::from(rgb[1]) + 0.114 * f32::from(rgb[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_pixels() -> RgbImage {
        RgbImage::from_raw(2, 1, vec![10, 20, 30, 40, 50, 60]).unwrap()
    }

    fn filled(colour: Colour, layout: Layout) -> Vec<f32> {
        let feed = Feed { layout, colour, mean: [10.0, 0.0, 0.0], scale: [2.0, 1.0, 1.0] };
        let mut tensor = vec![9.0; 99];
        feed.fill(&two_pixels(), &mut tensor);
        tensor
    }

    #[test]
    fn order_of_channels_and_planes() {
        assert_eq!(filled(Colour::Rgb, Layout::Nchw), [0.0, 15.0, 20.0, 50.0, 30.0, 60.0]);
        assert_eq!(filled(Colour::Bgr, Layout::Nchw), [10.0, 25.0, 20.0, 50.0, 10.0, 40.0]);
        assert_eq!(filled(Colour::Rgb, Layout::Nhwc), [0.0, 20.0, 30.0, 15.0, 50.0, 60.0]);
        assert_eq!(filled(Colour::Grey, Layout::Nchw), [4.0, 19.0]);
    }
}
