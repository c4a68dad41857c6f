//! When a self-test is passed.

use std::collections::BTreeMap;

use crate::config;
use crate::matching::statistics::{Interval, clopper_pearson, share};
use crate::store::{AttackKind, Presentations};

/// What was presented, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::cmds) struct Counts {
    /// Live people.
    pub live: Presentations,
    /// Pictures of people.
    pub attacks: BTreeMap<AttackKind, Presentations>,
}

/// What has to be kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    /// Of the worst kind of attack, 0..=1.
    pub max_apcer: f64,
    /// Of live people, 0..=1.
    pub max_bpcer: f64,
    /// So many presentations with a verdict: of live people, and of at least one kind of attack.
    pub min_presentations: u64,
}

impl Limits {
    /// Those of the settings.
    pub(super) fn new(liveness: &config::Liveness, min_presentations: u64) -> Self {
        Self { max_apcer: liveness.max_apcer, max_bpcer: liveness.max_bpcer, min_presentations }
    }
}

/// A rate with its 95 % interval (Clopper-Pearson).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub(in crate::cmds) struct Rate {
    /// The share, 0..=1.
    pub rate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Rate {
    /// `None` where nothing counts.
    fn of(part: u64, presentations: &Presentations) -> Option<Self> {
        let whole = presentations.judged();
        let Interval { low, high } = clopper_pearson(part, whole);
        (whole > 0).then(|| Self { rate: share(part, whole), low, high })
    }
}

/// Attack presentation classification error rate: the share of these attacks that was taken for live.
pub(super) fn apcer(attacks: &Presentations) -> Option<Rate> {
    Rate::of(attacks.taken_for_live, attacks)
}

/// Bona fide presentation classification error rate: the share of live people that was not taken for live.
pub(super) fn bpcer(live: &Presentations) -> Option<Rate> {
    Rate::of(live.taken_for_picture, live)
}

impl Counts {
    /// The kind of attack that was taken for live most often; among equals the one that says least for itself.
    pub(super) fn worst(&self) -> Option<(AttackKind, Rate)> {
        let rates = self.attacks.iter().filter_map(|(kind, presented)| Some((*kind, apcer(presented)?)));
        rates.max_by(|(_, a), (_, b)| a.rate.total_cmp(&b.rate).then(a.high.total_cmp(&b.high)))
    }

    /// What is missing for a pass; nothing if it is passed. A kind of attack counts from its first presentation on.
    pub(super) fn shortfalls(&self, limits: &Limits) -> Vec<String> {
        let mut missing = Vec::new();
        let least = limits.min_presentations;
        if self.live.judged() < least {
            missing.push(format!("live people: {} judged, {least} needed", self.live.judged()));
        }
        let most = self.attacks.values().map(Presentations::judged).max().unwrap_or(0);
        if most < least {
            missing.push(format!("attacks: at most {most} of one kind judged, {least} needed"));
        }
        if let Some((kind, worst)) = self.worst()
            && worst.rate > limits.max_apcer
        {
            missing.push(format!(
                "APCER is {} ({}), above `liveness.max_apcer` of {}",
                percent(worst.rate),
                kind.as_str(),
                percent(limits.max_apcer)
            ));
        }
        if let Some(bpcer) = bpcer(&self.live)
            && bpcer.rate > limits.max_bpcer
        {
            missing.push(format!(
                "BPCER is {}, above `liveness.max_bpcer` of {}",
                percent(bpcer.rate),
                percent(limits.max_bpcer)
            ));
        }
        missing
    }
}

/// As people read it: `12.5 %`, `20 %`.
pub(super) fn percent(rate: f64) -> String {
    let text = format!("{:.1}", rate * 100.0);
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { max_apcer: 0.2, max_bpcer: 0.4, min_presentations: 5 };

    fn seen(taken_for_live: u64, taken_for_picture: u64) -> Presentations {
        Presentations { taken_for_live, taken_for_picture, no_verdict: 3 }
    }

    fn counts(live: Presentations, attacks: &[(AttackKind, Presentations)]) -> Counts {
        Counts { live, attacks: attacks.iter().copied().collect() }
    }

    #[test]
    fn rates_are_of_what_was_judged() {
        let rate = apcer(&seen(0, 10)).unwrap();
        assert!(rate.rate == 0.0 && rate.low == 0.0 && (rate.high - 0.3085).abs() < 1e-4, "{rate:?}");
        let rate = bpcer(&seen(9, 1)).unwrap();
        assert!((rate.rate - 0.1).abs() < 1e-12 && (rate.high - 0.4450).abs() < 1e-4, "{rate:?}");
        assert_eq!(apcer(&seen(0, 0)), None);
    }

    #[test]
    fn the_worst_kind_counts() {
        use AttackKind::{Laptop, Phone, Print};
        let both = counts(seen(5, 0), &[(Print, seen(0, 10)), (Phone, seen(2, 6)), (Laptop, seen(0, 0))]);
        assert_eq!(both.worst().map(|(kind, rate)| (kind, rate.rate)), Some((Phone, 0.25)));
        let missing = both.shortfalls(&LIMITS);
        assert!(missing.len() == 1 && missing[0].contains("25 % (phone)"), "{missing:?}");
        // Among equals the one with fewer presentations.
        let equal = counts(seen(5, 0), &[(Print, seen(0, 10)), (Phone, seen(0, 5))]);
        assert_eq!(equal.worst().unwrap().0, Phone);
        // One presentation of a second kind is enough to fail, none to pass.
        let one = counts(seen(5, 0), &[(Print, seen(0, 10)), (Phone, seen(1, 0))]);
        assert!(one.shortfalls(&LIMITS)[0].contains("100 % (phone)"));
    }

    #[test]
    fn limits_are_inclusive_and_numbers_needed() {
        use AttackKind::{Phone, Print};
        let passes = |live, attacks: &[_]| counts(live, attacks).shortfalls(&LIMITS).is_empty();
        assert!(passes(seen(6, 4), &[(Print, seen(1, 4))]), "both at the limit");
        assert!(!passes(seen(5, 4), &[(Print, seen(1, 4))]), "BPCER 44 %");
        assert!(!passes(seen(4, 0), &[(Print, seen(0, 5))]), "too few live people");
        assert!(!passes(seen(5, 0), &[(Print, seen(0, 4)), (Phone, seen(0, 4))]), "too few of each kind");
        assert!(passes(seen(5, 0), &[(Print, seen(0, 5)), (Phone, seen(0, 1))]));
        assert!(!passes(seen(5, 0), &[]), "no attack");
        assert_eq!(Counts::default().shortfalls(&LIMITS).len(), 2);
    }

    #[test]
    fn percentages_are_short() {
        assert_eq!([0.0, 0.125, 0.2, 1.0 / 3.0].map(percent), ["0 %", "12.5 %", "20 %", "33.3 %"]);
    }
}
