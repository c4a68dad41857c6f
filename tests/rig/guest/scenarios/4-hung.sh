# One thread of the daemon stands still: systemd's watchdog ends it and starts it anew. The same after kill -9.
#
# A thread is stopped from outside, by the kernel's freezer: it is moved into a control group of its own, which is
# frozen. The other threads go on, so that this shows what a signal to the whole process would not: that one hung stage
# is enough for the daemon to stop telling the watchdog that all is well.

systemctl restart "$unit"
cam show known

# freeze NAME: stops the thread of that name.
freeze() {
    local process group thread
    process=$(of_unit MainPID)
    group=/sys/fs/cgroup$(of_unit ControlGroup)/frozen
    thread=$(grep -lx "$1" /proc/"$process"/task/*/comm | head -n 1 | cut -d/ -f5)
    [ -n "$thread" ] || failed "there is no thread '$1', only: $(cat /proc/"$process"/task/*/comm | xargs)"
    mkdir -p "$group"
    echo threaded >"$group/cgroup.type"
    echo "$thread" >"$group/cgroup.threads"
    echo 1 >"$group/cgroup.freeze"
    note "froze thread $thread ($1) of process $process"
}

# uptime_ms: the clock that systemd's monotonic times are of.
uptime_ms() { awk '{ printf "%d", $1 * 1000 }' /proc/uptime; }

# active_since PROCESS: whether another process is active.
is_another() { is_active && [ "$(of_unit MainPID)" != "$1" ] && [ "$(of_unit MainPID)" != 0 ]; }

# ready_after MS PROCESS: how long after that time, in milliseconds, another process was ready.
ready_after() {
    within 20 "it is active again" is_another "$2"
    echo $(($(of_unit ActiveEnterTimestampMonotonic) / 1000 - $1))
}

# ended_ms: when the watchdog last ended it.
watchdog_ms() {
    journalctl --output=json --output-fields=MESSAGE UNIT="$unit" |
        jq -r 'select(.MESSAGE | tostring | test("Watchdog timeout")) | (.__MONOTONIC_TIMESTAMP | tonumber / 1000 | floor)' | tail -n 1
}

watchdog_s=$(($(of_unit WatchdogUSec | sed 's/s$//')))
worst=0
for stage in capture detect embed; do
    process=$(of_unit MainPID)
    mark
    within 20 "somebody is verified before $stage is frozen" came match.verified
    freeze "$(thread_of "$stage")"
    frozen=$(uptime_ms)
    within $((watchdog_s + 15)) "the watchdog ends it when $stage is frozen" is_another "$process"
    ended=$(watchdog_ms)
    [ -n "$ended" ] && [ "$ended" -ge "$frozen" ] || failed "it was not the watchdog that ended it"
    ready=$(ready_after "$ended" "$process")
    figure "${stage}_watchdog_ms" $((ended - frozen))
    figure "${stage}_ready_ms" "$ready"
    worst=$(larger "$worst" "$ready")
done

process=$(of_unit MainPID)
killed=$(uptime_ms)
kill -9 "$process"
ready=$(ready_after "$killed" "$process")
figure killed_ready_ms "$ready"
worst=$(larger "$worst" "$ready")
# The target is 5 s. Here loading the models alone takes three, which a plain machine does in a tenth of one, and a host
# that is busy stretches all of it: what is over the target is said, and what fails is a service that does not come back.
[ "$worst" -le 5000 ] || figure over_the_target_of_5000_by "$((worst - 5000))"
[ "$worst" -le 15000 ] || failed "it took longer than 15 s to be ready again"
mark
within 20 "somebody is verified afterwards" came match.verified
