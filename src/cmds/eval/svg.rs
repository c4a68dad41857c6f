//! A small chart writer: axes with ticks and grid, lines, histograms, marks and a legend, as an SVG file that shows alike
//! in light and dark viewers.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 520.0;
/// Room around the plotting area: left, top, right, bottom.
const MARGINS: [f64; 4] = [84.0, 52.0, 28.0, 64.0];
/// Text colours and grid.
const INK: &str = "#1f2933";
const FAINT: &str = "#52606d";
const GRID: &str = "#e4e7eb";

/// How numbers become positions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// Evenly, from one number to another.
    Linear(f64, f64),
    /// By powers of ten, between two numbers above 0.
    Log(f64, f64),
}

impl Scale {
    /// Where a number lies, 0..=1; cut at both ends.
    fn place(self, value: f64) -> f64 {
        let part = match self {
            Self::Linear(from, to) => (value - from) / (to - from),
            Self::Log(from, _) if value <= 0.0 || value < from => 0.0,
            Self::Log(from, to) => (value / from).log10() / (to / from).log10(),
        };
        part.clamp(0.0, 1.0)
    }

    /// Numbers to be written at the axis.
    fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear(from, to) => {
                let rough = (to - from) / 6.0;
                let power = 10_f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| *step >= rough);
                let step = step.unwrap_or(rough);
                let mut ticks = Vec::new();
                let mut tick = (from / step - 1e-9).ceil() * step;
                while tick <= to + step * 1e-9 && ticks.len() < 50 {
                    // Without the -0 and the 0.30000000000000004.
                    ticks.push((tick / step).round() * step + 0.0);
                    tick += step;
                }
                ticks
            }
            Self::Log(from, to) => {
                let mut tick = 10_f64.powf((from.log10() - 1e-9).ceil());
                let mut ticks = Vec::new();
                while tick <= to * 1.000_001 && ticks.len() < 50 {
                    ticks.push(tick);
                    tick *= 10.0;
                }
                ticks
            }
        }
    }
}

/// A line through points.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) colour: &'static str,
    pub(super) points: Vec<(f64, f64)>,
    /// Whether the area below is filled.
    pub(super) is_filled: bool,
}

/// A dashed line from the top to the bottom.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) name: String,
    /// Where.
    pub(super) x: f64,
}

/// A chart.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x_name: &'static str,
    pub(super) y_name: &'static str,
    pub(super) x: Scale,
    pub(super) y: Scale,
    /// How the numbers at the axes read.
    pub(super) x_label: fn(f64) -> String,
    pub(super) y_label: fn(f64) -> String,
    pub(super) lines: Vec<Line>,
    pub(super) marks: Vec<Mark>,
    /// Whether the legend stands at the bottom right instead of the top right.
    pub(super) legend_below: bool,
}

impl Chart {
    /// The file's text.
    pub(super) fn svg(&self) -> String {
        let mut out = String::new();
        self.write(&mut out).unwrap_or_else(|_| unreachable!("a String takes all text"));
        out
    }

    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let [left, top, right, bottom] = MARGINS;
        let across = left + self.x.place(x) * (WIDTH - left - right);
        (across, HEIGHT - bottom - self.y.place(y) * (HEIGHT - top - bottom))
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let [left, top, right, bottom] = MARGINS;
        let (end, floor) = (WIDTH - right, HEIGHT - bottom);
        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"13\">"
        )?;
        writeln!(out, "<title>{}</title>", escaped(&self.title))?;
        writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>")?;
        text(out, (left, 30.0), "start", INK, "font-size=\"16\" font-weight=\"600\"", &self.title)?;
        for tick in self.x.ticks() {
            let (x, _) = self.at((tick, 0.0));
            rule(out, (x, top), (x, floor), GRID)?;
            text(out, (x, floor + 20.0), "middle", FAINT, "", &(self.x_label)(tick))?;
        }
        for tick in self.y.ticks() {
            let (_, y) = self.at((0.0, tick));
            rule(out, (left, y), (end, y), GRID)?;
            text(out, (left - 8.0, y + 4.5), "end", FAINT, "", &(self.y_label)(tick))?;
        }
        rule(out, (left, floor), (end, floor), FAINT)?;
        rule(out, (left, top), (left, floor), FAINT)?;
        text(out, (f64::midpoint(left, end), HEIGHT - 18.0), "middle", INK, "", self.x_name)?;
        let middle = f64::midpoint(top, floor);
        let turned = format!("transform=\"rotate(-90 22 {middle:.1})\"");
        text(out, (22.0, middle), "middle", INK, &turned, self.y_name)?;
        self.lines.iter().try_for_each(|line| self.line(out, line))?;
        for mark in &self.marks {
            let (x, _) = self.at((mark.x, 0.0));
            writeln!(
                out,
                "<line x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{floor}\" stroke=\"{INK}\" stroke-width=\"1.5\" \
                 stroke-dasharray=\"5 4\"/>"
            )?;
        }
        self.legend(out)?;
        writeln!(out, "</svg>")
    }

    fn line(&self, out: &mut String, line: &Line) -> std::fmt::Result {
        let Some((first, rest)) = line.points.split_first() else { return Ok(()) };
        let colour = line.colour;
        let mut path = String::new();
        let (x, y) = self.at(*first);
        write!(path, "M{x:.1} {y:.1}")?;
        let mut last = (x, y);
        for point in rest {
            let (x, y) = self.at(*point);
            // What is closer than a third of a pixel cannot be seen.
            if (x - last.0).abs() + (y - last.1).abs() > 0.3 {
                write!(path, "L{x:.1} {y:.1}")?;
                last = (x, y);
            }
        }
        if line.is_filled {
            let floor = HEIGHT - MARGINS[3];
            let area = format!("{path}L{:.1} {floor}L{x:.1} {floor}Z", last.0);
            writeln!(out, "<path d=\"{area}\" fill=\"{colour}\" fill-opacity=\"0.25\"/>")?;
        }
        writeln!(
            out,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-linejoin=\"round\"/>"
        )
    }

    fn legend(&self, out: &mut String) -> std::fmt::Result {
        let rows = self.lines.len() + self.marks.len();
        let names = self.lines.iter().map(|l| &l.name).chain(self.marks.iter().map(|m| &m.name));
        let longest = names.map(|name| name.chars().count()).max().unwrap_or(0);
        let (width, height) = (52.0 + 7.4 * f64::from(small(longest)), 14.0 + 21.0 * f64::from(small(rows)));
        let left = WIDTH - MARGINS[2] - width - 12.0;
        let top = if self.legend_below { HEIGHT - MARGINS[3] - height - 12.0 } else { MARGINS[1] + 12.0 };
        writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"4\" \
             fill=\"#ffffff\" fill-opacity=\"0.92\" stroke=\"{GRID}\"/>"
        )?;
        let entries = self.lines.iter().map(|line| (&line.name, line.colour, ""));
        let marks = self.marks.iter().map(|mark| (&mark.name, INK, " stroke-dasharray=\"5 4\""));
        for (row, (name, colour, dashes)) in (0_u32..).zip(entries.chain(marks)) {
            let y = top + 17.5 + 21.0 * f64::from(row);
            let (from, to) = (left + 10.0, left + 34.0);
            writeln!(
                out,
                "<line x1=\"{from:.1}\" y1=\"{y:.1}\" x2=\"{to:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\" \
                 stroke-width=\"2.5\"{dashes}/>"
            )?;
            text(out, (to + 8.0, y + 4.5), "start", INK, "", name)?;
        }
        Ok(())
    }
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn rule(out: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) -> std::fmt::Result {
    writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>",
        from.0, from.1, to.0, to.1
    )
}

fn text(
    out: &mut String,
    (x, y): (f64, f64),
    anchor: &str,
    colour: &str,
    more: &str,
    text: &str,
) -> std::fmt::Result {
    let text = escaped(text);
    writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\" {more}>{text}</text>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A share as percent, short: `0.1 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    // As many decimals as the first digit needs, and one more for 2.5.
    let mut decimals = 1;
    while percent > 0.0 && percent * 10_f64.powi(decimals) < 9.95 && decimals < 9 {
        decimals += 1;
    }
    let text = format!("{percent:.0$}", decimals.unsigned_abs() as usize);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let shown = |scale: Scale| scale.ticks().iter().map(|t| format!("{t:.2}")).collect::<Vec<_>>();
        assert_eq!(shown(Scale::Linear(-0.6, 1.0)), ["-0.50", "0.00", "0.50", "1.00"]);
        assert_eq!(shown(Scale::Linear(0.0, 1.0)), ["0.00", "0.20", "0.40", "0.60", "0.80", "1.00"]);
        assert_eq!(Scale::Log(1e-4, 1.0).ticks().len(), 5);
        assert_eq!(Scale::Log(1e-4, 1.0).place(0.0), 0.0);
        assert!((Scale::Log(1e-4, 1.0).place(1e-2) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn shares_read_as_percent() {
        assert_eq!(
            [1.0, 0.1, 0.01, 0.001, 1e-5, 0.0].map(percent),
            ["100 %", "10 %", "1 %", "0.1 %", "0.001 %", "0 %"]
        );
    }

    #[test]
    fn texts_cannot_break_the_file() {
        let chart = Chart {
            title: "<a> & \"b\"".into(),
            x_name: "x",
            y_name: "y",
            x: Scale::Linear(0.0, 1.0),
            y: Scale::Log(1e-3, 1.0),
            x_label: |v| format!("{v:.1}"),
            y_label: percent,
            lines: vec![Line {
                name: "1 < 2".into(),
                colour: "#000000",
                points: vec![(0.0, 1.0), (0.5, 0.1), (2.0, 0.0)],
                is_filled: true,
            }],
            marks: vec![Mark { name: "m".into(), x: 0.5 }],
            legend_below: false,
        };
        let svg = chart.svg();
        assert!(svg.contains("&lt;a&gt; &amp; &quot;b&quot;") && svg.contains("1 &lt; 2"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(svg.matches("<path").count(), 2);
    }
}
