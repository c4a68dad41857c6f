# What it costs, and how fast it is. Decides nothing: other machines have other figures.

is_active || systemctl start "$unit"
group=/sys/fs/cgroup$(of_unit ControlGroup)

# percent SECONDS: the processor time of the service, of one core.
percent() {
    local before after
    before=$(sed -n 's/^usage_usec //p' "$group/cpu.stat")
    sleep "$1"
    after=$(sed -n 's/^usage_usec //p' "$group/cpu.stat")
    echo "$(((after - before) / $1 / 10000))%"
}

cam show empty
sleep 4
figure idle_cpu "$(percent 15)"
cam show known-stays
sleep 4
figure busy_cpu "$(percent 15)"
cam show empty
figure resident_mb $(($(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' /proc/"$(of_unit MainPID)"/status) / 1024))
figure group_memory_mb $(($(cat "$group/memory.current") / 1048576))
figure threads "$(ls /proc/"$(of_unit MainPID)"/task | wc -l)"
figure descriptors "$(ls /proc/"$(of_unit MainPID)"/fd | wc -l)"

# From the capture of the newest frame that a decision rests on, to the decision and to the event, over all scenarios.
jq -r "select(.type == \"match.verified\") | \"\($(as_ms .decided_at) - $(as_ms .captured_at)) \($(as_ms .at) - $(as_ms .captured_at))\"" \
    "$events" >/run/rig/latencies
percentile() { cut -d' ' -f"$1" /run/rig/latencies | sort -n | awk -v p="$2" '{ v[NR] = $1 } END { i = int(NR * p / 100 + 0.999); print v[i < 1 ? 1 : i] }'; }
figure decisions "$(wc -l </run/rig/latencies)"
figure decided_p50_ms "$(percentile 1 50)"
figure decided_p99_ms "$(percentile 1 99)"
figure event_p50_ms "$(percentile 2 50)"
figure event_p99_ms "$(percentile 2 99)"
