//! Non-maximum suppression: one box a face.

use crate::domain::Rect;

/// Indices of the boxes to keep, most certain first. A box goes when it overlaps a more certain kept one by more
/// than `max_iou`. Boxes that are not sound, or whose score is not a number, are never kept.
#[must_use]
pub fn suppress(boxes: &[(Rect, f32)], max_iou: f32) -> Vec<usize> {
    let mut order: Vec<usize> =
        (0..boxes.len()).filter(|&i| boxes[i].0.is_sound() && boxes[i].1.is_finite()).collect();
    order.sort_by(|&a, &b| boxes[b].1.total_cmp(&boxes[a].1).then(a.cmp(&b)));
    let mut kept: Vec<usize> = Vec::new();
    for candidate in order {
        if kept.iter().all(|&k| boxes[k].0.iou(boxes[candidate].0) <= max_iou) {
            kept.push(candidate);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_box() -> impl Strategy<Value = (Rect, f32)> {
        (0.0_f32..100.0, 0.0_f32..100.0, 1.0_f32..60.0, 1.0_f32..60.0, 0.0_f32..1.0)
            .prop_map(|(x, y, w, h, score)| (Rect::new(x, y, x + w, y + h), score))
    }

    proptest! {
        #[test]
        fn keeps_the_best_and_nothing_that_overlaps(
            boxes in prop::collection::vec(any_box(), 0..40), max_iou in 0.0_f32..1.0,
        ) {
            let kept = suppress(&boxes, max_iou);
            for (n, &a) in kept.iter().enumerate() {
                for &b in &kept[..n] {
                    prop_assert!(boxes[a].0.iou(boxes[b].0) <= max_iou);
                    prop_assert!(boxes[b].1 >= boxes[a].1);
                }
            }
            for dropped in (0..boxes.len()).filter(|i| !kept.contains(i)) {
                prop_assert!(kept.iter().any(|&k| boxes[k].0.iou(boxes[dropped].0) > max_iou
                    && boxes[k].1 >= boxes[dropped].1));
            }
        }
    }

    #[test]
    fn nonsense_is_never_kept() {
        let sound = Rect::new(0.0, 0.0, 1.0, 1.0);
        let boxes = [
            (Rect::new(5.0, 0.0, 1.0, 1.0), 0.9),
            (sound, f32::NAN),
            (Rect::new(f32::NAN, 0.0, 1.0, 1.0), 0.9),
        ];
        assert!(suppress(&boxes, 0.5).is_empty());
    }
}
