//! Lines for the journal: through its own socket, where each field of a line is one of the journal's (`CAMERA=`,
//! `SINK=`), or, where that cannot be had, to standard error with the priority in front.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::{Compact, Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// More fields than any line has; those beyond are in the text alone.
const MOST_FIELDS: usize = 32;

/// Whether standard error goes to the journal: `JOURNAL_STREAM` is `device:inode` of where it went at the start,
/// and may have been redirected since.
pub(super) fn is_stderr(stream: Option<&str>) -> bool {
    let Some((device, inode)) = stream.and_then(|stream| stream.split_once(':')) else { return false };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    device.parse() == Ok(stderr.dev()) && inode.parse() == Ok(stderr.ino())
}

/// A layer that sends every line to the journal.
///
/// # Errors
/// If the journal's socket is not there.
pub(super) fn layer() -> io::Result<Readable<tracing_journald::Layer>> {
    let priorities =
        PriorityMappings { info: Priority::Informational, debug: Priority::Debug, ..PriorityMappings::new() };
    let journal = tracing_journald::layer()?
        .with_field_prefix(None)
        .with_syslog_identifier("facewarden".to_owned())
        .with_priority_mappings(priorities);
    Ok(Readable(journal))
}

/// Hands lines on with their fields in the text as well: whoever reads `journalctl` sees the text alone.
pub(super) struct Readable<L>(L);

impl<S, L> Layer<S> for Readable<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.0.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Line::default();
        event.record(&mut line);
        let Some(message) = metadata.fields().field("message") else {
            return self.0.on_event(event, context);
        };
        let mut values: [(&Field, Option<&dyn tracing::Value>); MOST_FIELDS] =
            [(&message, None); MOST_FIELDS];
        let text = line.text();
        values[0] = (&message, Some(&text));
        for (slot, (field, value)) in values[1..].iter_mut().zip(&line.fields) {
            *slot = (field, Some(value));
        }
        self.0.on_event(&Event::new(metadata, &metadata.fields().value_set(&values)), context);
    }
}

/// What a line says, as text.
#[derive(Default)]
struct Line {
    message: String,
    fields: Vec<(Field, String)>,
}

impl Line {
    fn text(&self) -> String {
        let mut text = self.message.clone();
        for (field, value) in &self.fields {
            let gap = if text.is_empty() { "" } else { " " };
            text.push_str(gap);
            text.push_str(field.name());
            let needs_quotes = value.is_empty() || value.contains([' ', '"', '=']);
            text.push_str(&if needs_quotes { format!("={value:?}") } else { format!("={value}") });
        }
        text
    }

    fn put(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
        } else {
            self.fields.push((field.clone(), value));
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

/// Lines for standard error: the priority in front as `sd-daemon(3)` has it, so that `journalctl -p warning` works, and
/// no time, which the journal has itself.
pub(super) struct WithPriority(Format<Compact, ()>);

impl WithPriority {
    pub(super) fn new() -> Self {
        Self(Format::default().compact().without_time().with_level(false))
    }
}

impl<S, N> FormatEvent<S, N> for WithPriority
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// The number that syslog has for a level.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn the_journal_is_known_by_its_device_and_inode() {
        let stderr = std::fs::metadata("/proc/self/fd/2").unwrap();
        assert!(is_stderr(Some(&format!("{}:{}", stderr.dev(), stderr.ino()))));
        assert!(!is_stderr(Some(&format!("{}:{}", stderr.dev(), stderr.ino() + 1))));
        assert!(!is_stderr(Some("nonsense")));
        assert!(!is_stderr(None));
    }

    /// What would have been sent.
    #[derive(Clone, Default)]
    struct Sent(Arc<Mutex<Vec<(Level, Line)>>>);

    impl<S: Subscriber> Layer<S> for Sent {
        /// As the journal's layer, which cannot do without having seen the spans that a line is in.
        fn on_new_span(&self, attributes: &Attributes<'_>, _id: &Id, _context: Context<'_, S>) {
            self.0.lock().unwrap().push((*attributes.metadata().level(), Line::default()));
        }

        fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
            let mut line = Line::default();
            event.record(&mut line);
            self.0.lock().unwrap().push((*event.metadata().level(), line));
        }
    }

    #[test]
    fn a_line_keeps_its_fields_and_says_them_in_its_text_as_well() {
        let sent = Sent::default();
        let subscriber = tracing_subscriber::registry().with(Readable(sent.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let error: &(dyn std::error::Error + 'static) = &io::Error::other("no space");
            tracing::warn!(camera = %"door", track = 7, error, nothing = "", "no frames since {}", 5);
            tracing::error!(sink = "mqtt house");
            tracing::info!("watching");
            let _library = tracing::debug_span!("of a library").entered();
        });
        let sent = sent.0.lock().unwrap();
        let shown = |at: usize| {
            let (level, line): &(Level, Line) = &sent[at];
            let fields: Vec<_> =
                line.fields.iter().map(|(field, value)| format!("{field}={value}")).collect();
            (*level, line.message.clone(), fields.join("|"))
        };
        let text = "no frames since 5 camera=door track=7 error=\"no space\" nothing=\"\"".to_owned();
        assert_eq!(shown(0), (Level::WARN, text, "camera=door|track=7|error=no space|nothing=".to_owned()));
        // What has no text has none to put fields into.
        assert_eq!(shown(1), (Level::ERROR, String::new(), "sink=mqtt house".to_owned()));
        assert_eq!(shown(2), (Level::INFO, "watching".to_owned(), String::new()));
        assert_eq!(shown(3).0, Level::DEBUG, "spans are handed on");
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_on_standard_error_carry_their_priority_and_no_time() {
        let lines = Lines::default();
        let sink = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || sink.clone())
            .event_format(WithPriority::new())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(camera = "door", "no frames");
            tracing::info!("watching");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("<4>") && lines[0].contains("no frames"), "{text}");
        assert!(lines[0].contains("camera=\"door\""), "{text}");
        assert!(lines[1].starts_with("<6>") && lines[1].contains("watching"), "{text}");
    }
}
