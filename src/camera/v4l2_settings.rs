//! Setting a camera's controls as the configuration wants them: by the names that `v4l2-ctl --list-ctrls` shows,
//! checked against what this very camera has. Pure but for [`Board`].

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use serde::Serialize;

use crate::config::ControlValue;

/// A control of a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Control {
    /// The kernel's number for it.
    pub(super) id: u32,
    /// Its name for people: `Power Line Frequency`.
    pub(super) label: String,
    pub(super) kind: Kind,
    pub(super) min: i64,
    pub(super) max: i64,
    /// At least 1.
    pub(super) step: i64,
    pub(super) default: i64,
    /// `None` if it cannot be read.
    pub(super) value: Option<i64>,
    /// Numbers and names, for [`Kind::Choice`].
    pub(super) choices: Vec<(i64, String)>,
    /// True while another control (an automatic) has it.
    pub(super) is_inactive: bool,
    /// True if it cannot be set (just now).
    pub(super) is_fixed: bool,
}

/// What a control takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// A number within a range.
    Number,
    /// On or off.
    Switch,
    /// One of a list.
    Choice,
}

/// Where controls are: a camera, or a test's stand-in for one.
pub(super) trait Board {
    /// All that can be set by a number; none if it has none.
    fn controls(&self) -> io::Result<Vec<Control>>;
    fn set(&self, id: u32, value: i32) -> io::Result<()>;
}

/// Names that the kernel has changed, the older first. Either is understood, whatever the kernel.
const RENAMED: [(&str, &str); 5] = [
    ("exposure_auto", "auto_exposure"),
    ("exposure_absolute", "exposure_time_absolute"),
    ("exposure_auto_priority", "exposure_dynamic_framerate"),
    ("white_balance_temperature_auto", "white_balance_automatic"),
    ("focus_auto", "focus_automatic_continuous"),
];

/// Sets what is `wanted`, automatics before what they hold. Gives back what could not be set and why, one line each;
/// the rest is set all the same.
pub(super) fn apply(board: &impl Board, wanted: &BTreeMap<String, ControlValue>) -> Vec<String> {
    let mut complaints = Vec::new();
    if wanted.is_empty() {
        return complaints;
    }
    // Asked twice: switching an automatic off is what makes the control beside it settable.
    for is_first_round in [true, false] {
        let controls = match board.controls() {
            Ok(controls) => controls,
            Err(error) => {
                complaints.push(format!("its controls cannot be listed: {error}"));
                return complaints;
            }
        };
        for (name, value) in wanted {
            let control = find(&controls, name);
            if control.is_some_and(|control| control.kind != Kind::Number) != is_first_round {
                continue;
            }
            let set = control.ok_or_else(|| unknown(name, &controls)).and_then(|control| {
                let number = control.number(value).map_err(|what| format!("the control `{name}` {what}"))?;
                control.set(board, name, number)
            });
            complaints.extend(set.err());
        }
    }
    complaints
}

fn find<'a>(controls: &'a [Control], name: &str) -> Option<&'a Control> {
    let other = RENAMED.iter().find_map(|(old, new)| match name {
        name if name == *old => Some(*new),
        name if name == *new => Some(*old),
        _ => None,
    });
    let by_name = |name: &str| controls.iter().find(|control| control.name() == name);
    by_name(name).or_else(|| by_name(other?))
}

fn unknown(name: &str, controls: &[Control]) -> String {
    if controls.is_empty() {
        return format!("it has no control `{name}`, nor any other");
    }
    format!("it has no control `{name}`: `facewarden devices --controls` lists those it has")
}

/// A name as v4l2-ctl writes it: small letters and digits, whatever else between them as one underscore.
fn as_name(label: &str) -> String {
    let words = label.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_")
}

/// What is left of a name when it is to be compared: `50 Hz`, `50_hz` and `50hz` are one.
fn bare(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

impl Control {
    /// Its name in the configuration: `power_line_frequency`.
    pub(super) fn name(&self) -> String {
        as_name(&self.label)
    }

    /// A number of it as people write it: `on`, `50_hz`, `128`.
    pub(super) fn shown(&self, value: i64) -> String {
        match self.kind {
            Kind::Number => value.to_string(),
            Kind::Switch => (value != 0).to_string(),
            Kind::Choice => {
                let choice = self.choices.iter().find(|(number, _)| *number == value);
                choice.map_or_else(|| value.to_string(), |(_, name)| as_name(name))
            }
        }
    }

    /// What it takes, for people: `0 to 255`.
    pub(super) fn takes(&self) -> String {
        match self.kind {
            Kind::Number if self.step > 1 => {
                format!("{} to {} in steps of {}", self.min, self.max, self.step)
            }
            Kind::Number => format!("{} to {}", self.min, self.max),
            Kind::Switch => "true or false".to_owned(),
            Kind::Choice => self.choices.iter().map(|(_, name)| as_name(name)).collect::<Vec<_>>().join(", "),
        }
    }

    /// The number that a value of the configuration stands for, or what is wrong with it.
    fn number(&self, value: &ControlValue) -> Result<i64, String> {
        let number = match (self.kind, value) {
            (Kind::Number, ControlValue::Number(number)) => {
                let is_on_step = || number.wrapping_sub(self.min) % self.step == 0;
                ((self.min..=self.max).contains(number) && is_on_step()).then_some(*number)
            }
            (Kind::Switch, ControlValue::Switch(is_on)) => Some(i64::from(*is_on)),
            (Kind::Switch, ControlValue::Number(number)) => (0..=1).contains(number).then_some(*number),
            (Kind::Choice, ControlValue::Number(wanted)) => {
                self.choices.iter().map(|(number, _)| *number).find(|number| number == wanted)
            }
            (Kind::Choice, ControlValue::Choice(wanted)) => {
                let is_it = |(_, name): &&(i64, String)| bare(name) == bare(wanted);
                self.choices.iter().find(is_it).map(|(number, _)| *number)
            }
            _ => None,
        };
        number.ok_or_else(|| format!("cannot be {value}: this camera takes {}", self.takes()))
    }

    fn set(&self, board: &impl Board, name: &str, number: i64) -> Result<(), String> {
        if self.value == Some(number) && !self.is_inactive {
            return Ok(());
        }
        if self.is_fixed {
            return Err(format!("the control `{name}` cannot be set on this camera"));
        }
        if self.is_inactive {
            return Err(format!(
                "the control `{name}` is held by an automatic: set that to manual or false as well"
            ));
        }
        let number = i32::try_from(number).map_err(|_| format!("the control `{name}` is too large"))?;
        board.set(self.id, number).map_err(|error| format!("the control `{name}` cannot be set: {error}"))
    }
}

impl fmt::Display for Control {
    /// One line: `power_line_frequency: 50_hz (default 50_hz; disabled, 50_hz, 60_hz)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.map_or_else(|| "?".to_owned(), |value| self.shown(value));
        write!(f, "{}: {value} (default {}; {}", self.name(), self.shown(self.default), self.takes())?;
        if self.is_inactive {
            f.write_str("; held by an automatic")?;
        }
        if self.is_fixed {
            f.write_str("; cannot be set")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;

    fn control(id: u32, label: &str, kind: Kind, (min, max): (i64, i64)) -> Control {
        Control {
            id,
            label: label.into(),
            kind,
            min,
            max,
            step: 1,
            default: min,
            value: Some(min),
            choices: vec![],
            is_inactive: false,
            is_fixed: false,
        }
    }

    /// A camera whose automatic holds the exposure time while it is on.
    struct Camera(RefCell<Vec<Control>>, RefCell<Vec<(u32, i32)>>);

    impl Camera {
        fn new() -> Self {
            let choices =
                |names: &[&str]| (0..).zip(names).map(|(n, name)| (n, (*name).to_owned())).collect();
            let controls = vec![
                Control { step: 5, ..control(1, "Gain", Kind::Number, (0, 100)) },
                Control {
                    choices: choices(&["Disabled", "50 Hz", "60 Hz"]),
                    ..control(2, "Power Line Frequency", Kind::Choice, (0, 2))
                },
                Control {
                    choices: vec![(1, "Manual Mode".into()), (3, "Aperture Priority Mode".into())],
                    value: Some(3),
                    ..control(3, "Auto Exposure", Kind::Choice, (0, 3))
                },
                Control {
                    is_inactive: true,
                    ..control(4, "Exposure Time, Absolute", Kind::Number, (3, 2047))
                },
                control(5, "White Balance, Automatic", Kind::Switch, (0, 1)),
                Control { is_fixed: true, ..control(6, "Privacy", Kind::Switch, (0, 1)) },
            ];
            Self(RefCell::new(controls), RefCell::default())
        }

        fn apply(&self, yaml: &str) -> Vec<String> {
            let text = format!(
                "schema: 1\ncameras: [{{ id: door, source: /dev/video0, controls: {{ {yaml} }} }}]\n"
            );
            let config = crate::config::Config::from_yaml(&text, "test").unwrap_or_else(|e| panic!("{e}"));
            apply(self, &config.cameras[0].controls)
        }

        fn was_set(&self) -> Vec<(u32, i32)> {
            self.1.take()
        }
    }

    impl Board for Camera {
        fn controls(&self) -> io::Result<Vec<Control>> {
            Ok(self.0.borrow().clone())
        }

        fn set(&self, id: u32, value: i32) -> io::Result<()> {
            self.1.borrow_mut().push((id, value));
            let mut controls = self.0.borrow_mut();
            if id == 3 {
                controls[3].is_inactive = value != 1;
            }
            let control = controls.iter_mut().find(|control| control.id == id).unwrap();
            control.value = Some(value.into());
            Ok(())
        }
    }

    #[test]
    fn controls_are_set_by_their_names_automatics_first() {
        let camera = Camera::new();
        let none: [&str; 0] = [];
        assert_eq!(camera.apply(""), none);
        let all = "exposure_time_absolute: 200, auto_exposure: manual_mode, gain: 50, \
                   power_line_frequency: 50hz, white_balance_automatic: true";
        assert_eq!(camera.apply(all), none);
        assert_eq!(camera.was_set(), [(3, 1), (2, 1), (5, 1), (4, 200), (1, 50)]);
        assert_eq!(camera.apply(all), none);
        assert_eq!(camera.was_set(), [], "what is so already is left alone");
        // The names of older kernels, and numbers for choices.
        assert_eq!(camera.apply("exposure_auto: 3, white_balance_temperature_auto: 0"), none);
        assert_eq!(camera.was_set(), [(3, 3), (5, 0)]);
    }

    #[test]
    fn what_a_camera_does_not_take_is_said_and_the_rest_is_set() {
        let camera = Camera::new();
        let said = camera.apply(
            "gain: 101, power_line_frequency: 70hz, gian: 3, privacy: true, white_balance_automatic: 1",
        );
        assert_eq!(
            said,
            [
                "the control `power_line_frequency` cannot be 70hz: this camera takes disabled, 50_hz, 60_hz",
                "the control `privacy` cannot be set on this camera",
                "the control `gain` cannot be 101: this camera takes 0 to 100 in steps of 5",
                "it has no control `gian`: `facewarden devices --controls` lists those it has",
            ]
        );
        assert_eq!(camera.was_set(), [(5, 1)]);
        let said = camera.apply("exposure_time_absolute: 100, gain: true, auto_exposure: 2");
        assert!(
            said[0].starts_with("the control `auto_exposure` cannot be 2: this camera takes manual_mode,")
        );
        assert!(said[1].contains("held by an automatic"), "{said:?}");
        assert!(said[2].starts_with("the control `gain` cannot be true"), "{said:?}");
        assert!(camera.apply("gain: 52")[0].contains("steps of 5"));
    }

    #[test]
    fn each_is_shown_in_one_line() {
        let lines: Vec<_> = Camera::new().controls().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "gain: 0 (default 0; 0 to 100 in steps of 5)",
                "power_line_frequency: disabled (default disabled; disabled, 50_hz, 60_hz)",
                "auto_exposure: aperture_priority_mode (default 0; manual_mode, aperture_priority_mode)",
                "exposure_time_absolute: 3 (default 3; 3 to 2047; held by an automatic)",
                "white_balance_automatic: false (default false; true or false)",
                "privacy: false (default false; true or false; cannot be set)",
            ]
        );
    }

    proptest! {
        #[test]
        fn a_number_that_is_set_is_one_that_the_camera_takes(
            value in any::<i64>(), min in any::<i32>(), span in 0..1000i32, step in 1i64..50,
        ) {
            let (min, max) = (i64::from(min), i64::from(min) + i64::from(span));
            let control = Control { step, ..control(1, "Gain", Kind::Number, (min, max)) };
            for value in [value, min, max, min + step, value.rem_euclid(1000).saturating_add(min)] {
                if let Ok(number) = control.number(&ControlValue::Number(value)) {
                    prop_assert!(number == value && (min..=max).contains(&number) && (number - min) % step == 0);
                }
            }
        }
    }
}
