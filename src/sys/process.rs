//! This process: what it uses, and what it must not leave behind.

use std::io;
use std::time::Duration;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Keeps faces out of core dumps, and other programs of the same user from reading this one's memory. To be
/// called before anything biometric is in memory. Programs started from here write no core dumps either.
///
/// # Errors
/// If the system refuses, which it never should.
pub fn forbid_core_dumps() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

/// Sets a variable of the environment, for this process and those it starts. Only as long as there is but one thread,
/// since the others may be reading.
///
/// # Errors
/// If there are others, or that cannot be told.
#[expect(unsafe_code, reason = "the environment can only be changed while nobody else reads it")]
pub fn set_variable(name: &str, value: &str) -> io::Result<()> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("there are threads already"));
    }
    // SAFETY: there is no other thread that could read or write the environment.
    unsafe { std::env::set_var(name, value) };
    Ok(())
}

/// Processor time that all threads of the process used so far, in user and kernel mode.
#[must_use]
pub fn cpu_time() -> Duration {
    duration(clock_gettime(ClockId::ProcessCPUTime))
}

/// Processor time that the calling thread used so far, in user and kernel mode.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    duration(clock_gettime(ClockId::ThreadCPUTime))
}

fn duration(time: Timespec) -> Duration {
    Duration::try_from(time).unwrap_or_default()
}

/// Memory of the process that is in RAM now, in bytes (`VmRSS`).
///
/// # Errors
/// If `/proc` is not mounted, or says something else than usual.
pub fn resident_bytes() -> io::Result<u64> {
    status_bytes("VmRSS:")
}

/// The most memory of the process that ever was in RAM, in bytes (`VmHWM`).
///
/// # Errors
/// As [`resident_bytes`].
pub fn peak_resident_bytes() -> io::Result<u64> {
    status_bytes("VmHWM:")
}

fn status_bytes(field: &str) -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    parse_status_bytes(&status, field).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("/proc/self/status has no {field}"))
    })
}

/// The kernel writes `VmRSS: 1234 kB` with white space of its own choice, where kB are 1024 bytes.
fn parse_status_bytes(status: &str, field: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_in_use_is_seen() {
        let before = resident_bytes().unwrap();
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let during = resident_bytes().unwrap();
        assert!(during >= before + (48 << 20), "{before} {during}");
        assert!(peak_resident_bytes().unwrap() >= during);
        drop(block);
        assert_eq!(parse_status_bytes("VmPeak:\t 9 kB\nVmRSS:\t    1234 kB\n", "VmRSS:"), Some(1234 * 1024));
        assert_eq!(parse_status_bytes("VmRSS:\t lots\n", "VmRSS:"), None);
    }

    #[test]
    fn work_takes_processor_time_and_sleep_does_not() {
        let start = thread_cpu_time();
        std::thread::sleep(Duration::from_millis(60));
        let asleep = thread_cpu_time();
        assert!(asleep - start < Duration::from_millis(30));
        let mut sum = 0_u64;
        while thread_cpu_time() - asleep < Duration::from_millis(20) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(cpu_time() >= thread_cpu_time());
    }

    #[test]
    fn the_environment_is_not_changed_while_others_may_read_it() {
        // Tests have a thread of their own beside the main one.
        let error = set_variable("FACEWARDEN_NEVER_SET", "1").unwrap_err();
        assert!(error.to_string().contains("threads"), "{error}");
        assert_eq!(std::env::var_os("FACEWARDEN_NEVER_SET"), None);
    }

    #[test]
    fn core_dumps_are_off() {
        forbid_core_dumps().unwrap();
        assert_eq!(rustix::process::getrlimit(Resource::Core).maximum, Some(0));
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        resident_bytes().unwrap();
    }
}
