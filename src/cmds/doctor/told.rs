//! Those who are told of events: whether they are there. None of them is told anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::{Findings, State};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Mqtt, Webhook};
use crate::sinks::{HookSink, try_broker, try_webhook};

const HOOK: &str = "hook";
const RELAY: &str = "relay";
const BROKER: &str = "broker";
const WEBHOOK: &str = "webhook";

/// Where the service manager keeps the credentials of the running service.
const CREDENTIALS: &str = "/run/credentials/facewarden.service";

/// Looks for hooks, relays, brokers and web servers.
pub(super) fn examine(config: &Config) -> Findings {
    let mut found = Findings::default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let events = &config.events;
    for hook in &events.hooks {
        match HookSink::new(hook, Arc::clone(&clock)) {
            Ok(_) => {
                found.ok(HOOK, format_args!("{} is there", hook.argv.first().map_or("", String::as_str)))
            }
            Err(error) => found.say(HOOK, State::Fail, error),
        }
    }
    for relay in &events.relays {
        let chip = relay.chip.display();
        // To open the line would switch it.
        if relay.chip.exists() {
            found.ok(RELAY, format_args!("{chip} is there (line {} was not touched)", relay.line));
        } else {
            found.fail(RELAY, format_args!("there is no {chip}"), "see `gpiodetect`, and correct `chip`");
        }
    }
    for mqtt in &events.mqtt {
        examine_broker(mqtt, &events.site, &mut found);
    }
    for webhook in &events.webhooks {
        examine_webhook(webhook, &events.site, &clock, &mut found);
    }
    if events.hooks.is_empty()
        && events.relays.is_empty()
        && events.mqtt.is_empty()
        && events.webhooks.is_empty()
    {
        let advice = "see `events` in the settings, unless the socket or the log is all that is wanted";
        found.warn(HOOK, "nothing happens when somebody is verified", advice);
    }
    found
}

fn examine_broker(mqtt: &Mqtt, site: &str, found: &mut Findings) {
    let mut mqtt = mqtt.clone();
    let tls = mqtt.tls.as_mut();
    let files =
        tls.into_iter().flat_map(|tls| [&mut tls.ca_file, &mut tls.certificate_file, &mut tls.key_file]);
    let files = files.chain([&mut mqtt.password_file]).filter_map(Option::as_mut);
    if let Err(name) = find_credentials(files) {
        return not_tried(BROKER, &mqtt.name, &name, found);
    }
    let (name, place) = (&mqtt.name, format!("{}:{}", mqtt.host, mqtt.effective_port()));
    match try_broker(&mqtt, site) {
        Ok(()) => found.ok(BROKER, format_args!("{name}: {place} lets this machine in")),
        Err(error) => found.say(BROKER, State::Fail, format_args!("{name}: {place}: {error}")),
    }
}

fn examine_webhook(webhook: &Webhook, site: &str, clock: &Arc<dyn Clock>, found: &mut Findings) {
    let mut webhook = webhook.clone();
    let optional =
        [&mut webhook.bearer_token_file, &mut webhook.ca_file].into_iter().filter_map(Option::as_mut);
    if let Err(name) = find_credentials(optional.chain([&mut webhook.secret_file])) {
        return not_tried(WEBHOOK, &webhook.name, &name, found);
    }
    match try_webhook(&webhook, site, Arc::clone(clock)) {
        Ok(()) => found.ok(WEBHOOK, format_args!("{}: its server answers (nothing was sent)", webhook.name)),
        Err(error) => found.say(WEBHOOK, State::Fail, error),
    }
}

/// Names without a folder are credentials, which this process has not unless the service manager gave it some; those of
/// the running service can be read by root. The name of the first that is nowhere is the error.
fn find_credentials<'p>(files: impl Iterator<Item = &'p mut PathBuf>) -> Result<(), PathBuf> {
    if std::env::var_os("CREDENTIALS_DIRECTORY").is_some() {
        return Ok(());
    }
    for file in files.filter(|file| file.components().count() == 1) {
        let credential = Path::new(CREDENTIALS).join(&*file);
        if credential.exists() {
            *file = credential;
        } else if !file.exists() {
            return Err(file.clone());
        }
    }
    Ok(())
}

fn not_tried(check: &'static str, name: &str, credential: &Path, found: &mut Findings) {
    found.warn(
        check,
        format_args!("{name}: not tried: {} is a credential of the service", credential.display()),
        "run this as root while the service runs",
    );
}
