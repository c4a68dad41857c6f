//! What a self-test found, for people and as JSON.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::verdict::{Counts, Limits, Rate, apcer, bpcer, percent};
use crate::clock::WallTime;
use crate::domain::CameraId;
use crate::matching::statistics::clopper_pearson;
use crate::store::{AttackKind, Origin, Presentations};

/// What is reported; the fields are the keys of the JSON object.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cmds) struct Report {
    pub camera: CameraId,
    pub at: WallTime,
    pub from: Origin,
    /// False if it was broken off; then nothing is stored.
    pub is_complete: bool,
    /// In mode `challenge` only the passive part is tested.
    pub mode: &'static str,
    pub live: OfKind,
    pub attacks: Vec<OfKind>,
    /// The kind of attack that was taken for live most often; its APCER is the overall one.
    pub worst_kind: Option<AttackKind>,
    pub apcer: Option<Rate>,
    pub bpcer: Option<Rate>,
    pub max_apcer: f64,
    pub max_bpcer: f64,
    pub min_presentations: u64,
    pub is_passed: bool,
    /// What is missing for a pass.
    pub shortfalls: Vec<String>,
    /// Of camera, models and settings, for which it holds.
    pub fingerprint: String,
    /// Where it is stored; `null` if it is not.
    pub saved_to: Option<PathBuf>,
}

/// One kind of presentation.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cmds) struct OfKind {
    /// `live`, or the kind of attack.
    pub kind: &'static str,
    #[serde(flatten)]
    pub presentations: Presentations,
    /// BPCER of live people, APCER of attacks; `null` where none came to a verdict.
    pub error_rate: Option<Rate>,
}

impl Report {
    /// Brings counts and limits together.
    pub(super) fn new(
        (camera, at, from): (CameraId, WallTime, Origin),
        counts: &Counts,
        limits: &Limits,
        is_complete: bool,
        (mode, fingerprint): (&'static str, String),
    ) -> Self {
        let mut shortfalls = counts.shortfalls(limits);
        if !is_complete {
            shortfalls.insert(0, "it was broken off".to_owned());
        }
        let worst = counts.worst();
        let attack = |(kind, presentations): (&AttackKind, &Presentations)| OfKind {
            kind: kind.as_str(),
            presentations: *presentations,
            error_rate: apcer(presentations),
        };
        Self {
            camera,
            at,
            from,
            is_complete,
            mode,
            live: OfKind { kind: "live", presentations: counts.live, error_rate: bpcer(&counts.live) },
            attacks: counts.attacks.iter().map(attack).collect(),
            worst_kind: worst.map(|(kind, _)| kind),
            apcer: worst.map(|(_, rate)| rate),
            bpcer: bpcer(&counts.live),
            max_apcer: limits.max_apcer,
            max_bpcer: limits.max_bpcer,
            min_presentations: limits.min_presentations,
            is_passed: shortfalls.is_empty(),
            shortfalls,
            fingerprint,
            saved_to: None,
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |text: &str| {
            // Writing to a string cannot fail.
            let _infallible = writeln!(out, "{text}");
        };
        let from = match self.from {
            Origin::Camera => "presented to the camera",
            Origin::Recordings => "from recordings",
        };
        line(&format!("Liveness self-test of camera {}, {from}, {}\n", self.camera, self.at));
        line("  kind    taken for live  for a picture  no verdict  error rate and its 95 % interval");
        for (of, name) in
            [(&self.live, "BPCER")].into_iter().chain(self.attacks.iter().map(|of| (of, "APCER")))
        {
            let seen = &of.presentations;
            let rate = of.error_rate.map_or_else(|| "not known".to_owned(), |rate| shown(&rate));
            line(&format!(
                "  {:<8}{:>14}{:>15}{:>12}  {name} {rate}",
                of.kind, seen.taken_for_live, seen.taken_for_picture, seen.no_verdict
            ));
        }
        line("");
        line(
            "APCER is the share of attacks taken for live, of each kind by itself; the worst kind counts, as in",
        );
        line(
            "ISO/IEC 30107-3. BPCER is the share of live people not taken for live. Presentations without a verdict",
        );
        line("(no face, not well or not long enough in view) count in neither.");
        let overall = |rate: Option<Rate>| rate.map_or_else(|| "not known".to_owned(), |rate| shown(&rate));
        let worst = self.worst_kind.map_or_else(String::new, |kind| format!(" ({})", kind.as_str()));
        line(&format!(
            "  APCER of the worst kind{worst}: {}, limit {}",
            overall(self.apcer),
            percent(self.max_apcer)
        ));
        line(&format!("  BPCER: {}, limit {}", overall(self.bpcer), percent(self.max_bpcer)));
        let open = |n: u64| format!("{:.0} %", clopper_pearson(0, n).high * 100.0);
        line(&format!(
            "So small a test says little: where none of 10 was wrong the rate may be up to {}, of 30 up to {}, of 100\nup \
             to {}.",
            open(10),
            open(30),
            open(100)
        ));
        if self.mode == "challenge" {
            line(
                "The passive checks alone were tested; the active challenge, which this camera also asks for, was not.",
            );
        }
        line("");
        if self.is_passed {
            line("PASSED");
        } else {
            line("NOT PASSED");
            self.shortfalls.iter().for_each(|missing| line(&format!("  - {missing}")));
        }
        match &self.saved_to {
            Some(path) => line(&format!(
                "Stored in {} for this camera, with these models and settings; a running daemon reads it when it starts.",
                path.display()
            )),
            None => line("Nothing was stored."),
        }
        out
    }
}

/// `10 % [0.3 %, 44.5 %]`
fn shown(rate: &Rate) -> String {
    format!("{} [{}, {}]", percent(rate.rate), percent(rate.low), percent(rate.high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn report(is_complete: bool, mode: &'static str) -> Report {
        let seen = |taken_for_live, taken_for_picture, no_verdict| Presentations {
            taken_for_live,
            taken_for_picture,
            no_verdict,
        };
        let attacks =
            BTreeMap::from([(AttackKind::Phone, seen(3, 7, 0)), (AttackKind::Print, seen(0, 10, 2))]);
        let limits = Limits { max_apcer: 0.2, max_bpcer: 0.4, min_presentations: 5 };
        let at = WallTime("2026-11-23T12:00:00Z".parse().unwrap());
        let head = (CameraId::new("door").unwrap(), at, Origin::Recordings);
        let counts = Counts { live: seen(9, 1, 1), attacks };
        Report::new(head, &counts, &limits, is_complete, (mode, "f".repeat(64)))
    }

    #[test]
    fn the_text_says_what_was_found_and_how_little_that_is() {
        let text = report(true, "enforce").text();
        for part in [
            "Liveness self-test of camera door, from recordings, 2026-11-23T12:00:00.000Z",
            "  live                 9              1           1  BPCER 10 % [0.3 %, 44.5 %]",
            "  print                0             10           2  APCER 0 % [0 %, 30.8 %]",
            "  phone                3              7           0  APCER 30 % [6.7 %, 65.2 %]",
            "APCER of the worst kind (phone): 30 % [6.7 %, 65.2 %], limit 20 %",
            "none of 10 was wrong the rate may be up to 31 %",
            "NOT PASSED\n  - APCER is 30 % (phone), above `liveness.max_apcer` of 20 %\nNothing was stored.",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("challenge") && !text.contains("broken off"));
        assert!(report(true, "challenge").text().contains("The passive checks alone were tested"));
    }

    #[test]
    fn what_was_broken_off_is_not_passed() {
        let mut broken_off = report(false, "enforce");
        assert!(!broken_off.is_passed && broken_off.text().contains("  - it was broken off\n"));
        broken_off.attacks.clear();
        let json = serde_json::to_value(&broken_off).unwrap();
        assert_eq!((&json["is_passed"], &json["live"]["taken_for_live"]), (&false.into(), &9.into()));
        assert_eq!(json["worst_kind"], "phone");
    }
}
