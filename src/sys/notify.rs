//! What the service manager is told (systemd's notify protocol). Everything here does nothing when the program
//! was not started by one, that is, when `NOTIFY_SOCKET` is unset.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;

/// The daemon watches from now on.
///
/// # Errors
/// If the service manager cannot be reached.
pub fn ready(status: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&one_line(status))])
}

/// One line about how it goes, shown by `systemctl status`.
///
/// # Errors
/// If the service manager cannot be reached.
pub fn status(status: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Status(&one_line(status))])
}

/// The settings are being read again. [`ready`] ends it.
///
/// # Errors
/// If the service manager cannot be reached.
pub fn reloading() -> io::Result<()> {
    // `Type=notify-reload` wants the time with it, to tell this reload from an earlier one.
    sd_notify::notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?])
}

/// The daemon is on its way out.
///
/// # Errors
/// If the service manager cannot be reached.
pub fn stopping(status: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Stopping, NotifyState::Status(&one_line(status))])
}

/// Every part of the daemon is alive. To be sent only when that is known, at least twice per
/// [`watchdog_interval`].
///
/// # Errors
/// If the service manager cannot be reached.
pub fn watchdog() -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Watchdog])
}

/// How long the service manager waits for [`watchdog`] before it kills the daemon; `None` if it does not.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
}

/// A second line would be taken for another field of the message.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn without_a_service_manager_nothing_happens() {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            ready("up").unwrap();
            watchdog().unwrap();
            assert_eq!(watchdog_interval(), None);
        }
    }

    /// Runs this very test again as a process of its own, whose service manager this one plays.
    #[test]
    fn a_service_manager_hears_everything() {
        const CHILD: &str = "FACEWARDEN_TEST_NOTIFY";
        if std::env::var_os(CHILD).is_some() {
            assert_eq!(watchdog_interval(), Some(Duration::from_secs(10)));
            ready("watching door\nREADY=0").unwrap();
            status("2 people").unwrap();
            watchdog().unwrap();
            reloading().unwrap();
            stopping("SIGTERM").unwrap();
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sys::notify::tests::a_service_manager_hears_everything"])
            .envs([(CHILD, "1"), ("WATCHDOG_USEC", "10000000")])
            .env("NOTIFY_SOCKET", &path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let mut buffer = [0; 1024];
        let mut heard = || {
            let length = socket.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        assert_eq!(heard().trim_end(), "READY=1\nSTATUS=watching door READY=0");
        assert_eq!(heard().trim_end(), "STATUS=2 people");
        assert_eq!(heard().trim_end(), "WATCHDOG=1");
        assert!(heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(heard().trim_end(), "STOPPING=1\nSTATUS=SIGTERM");
    }
}
