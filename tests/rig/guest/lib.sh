# Sourced by everything in the guest: the camera's remote control, the service, its events, and how to say what is wrong.

unit=facewarden.service
config=/etc/facewarden/facewarden.yaml
events=/var/log/facewarden/events.jsonl
# What the hook was told, one event a line.
hooked=/var/lib/facewarden/hooked.jsonl
by_id=/dev/v4l/by-id/usb-Facewarden_Simulated_Webcam
mkdir -p /run/rig

# --- Reporting -------------------------------------------------------------------------------------------------------

# A line for the host.
report() { echo "$*" >>/out/report; }

# A line for the scenario's own log.
note() { echo "$(date +%T.%3N) $*"; }

# figure NAME VALUE: what the scenario measured, on the line that says whether it passed.
figure() { note "figure: $1 $2"; printf '%s %s; ' "$1" "$2" >>/run/rig/figures; }

# failed WHY: ends the scenario.
failed() {
    trap - ERR
    note "FAILED: $*"
    printf 'FAILED: %s; ' "$*" >>/run/rig/figures
    systemctl status --no-pager --lines=20 "$unit" || true
    exit 1
}

# Milliseconds since 1970. Here and below without other programs where it is asked often: starting one is dear in the
# guest, and the daemon is to have the processor.
now_ms() { local now=${EPOCHREALTIME/[.,]/}; echo "${now%???}"; }

# nap: waits a fifth of a second.
exec {never}<> <(:)
nap() { read -rt 0.2 -u "$never" || true; }

# --- The camera ------------------------------------------------------------------------------------------------------

# start_camera PORT SERIAL: plugs a camera in and waits until the kernel has it.
start_camera() {
    uvcsim run --scenes /rig/frames --socket "/run/rig/cam$2" --port "$1" --serial "$2" >>"/out/camera$2.log" 2>&1 &
    within 10 "the camera $2 shows up" test -e "$by_id"_"$2"-video-index0
}

# cam COMMAND...: tells the first camera what to do.
cam() { uvcsim tell /run/rig/cam0001 "$@" >>/out/camera0001.log; }

# camera_at_rest: whatever a scenario has left: one camera, plugged in, in order, with nobody in front of it.
camera_at_rest() {
    [ ! -e /run/rig/cam0002 ] || uvcsim tell /run/rig/cam0002 quit >/dev/null 2>&1 || true
    rm -f /run/rig/cam0002
    echo 0 >/sys/module/uvcvideo/parameters/nodrop
    cam fault none
    cam show empty
    [ "$(cam_says plugged)" = 1 ] || cam plug
}

# cam_says NAME: one of the values of its status.
cam_says() { uvcsim tell /run/rig/cam0001 status | tr ' ' '\n' | sed -n "s/^$1=//p"; }

# --- Waiting ---------------------------------------------------------------------------------------------------------

# within SECONDS WHAT COMMAND...: waits until the command succeeds; the scenario has failed if it does not.
within() {
    local until=$((EPOCHSECONDS + $1 + 1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$EPOCHSECONDS" -lt "$until" ] || failed "not in time: $what"
        nap
    done
}

# --- The service -----------------------------------------------------------------------------------------------------

# of_unit PROPERTY: what systemd says of it.
of_unit() { systemctl show --value --property "$1" "$unit"; }

is_active() { [ "$(of_unit ActiveState)" = active ]; }

# counted NAME: what the daemon had counted when it last ended.
counted() {
    journalctl --unit "$unit" --output=cat | grep ' captured=[0-9]' | tail -n 1 | grep -o " $1=[0-9]*" | cut -d= -f2
}

# configure FORMAT WIDTH HEIGHT: writes the configuration of the scenarios. The people are photos, so liveness decides
# nothing; and they come again and again, so that they are granted again soon.
configure() {
    cat >"$config" <<YAML
schema: 1
cameras:
  - id: door
    source: ${by_id}_0001-video-index0
    format: $1
    width: $2
    height: $3
    fps: 15
liveness:
  mode: report
decision:
  cooldown_ms: 500
events:
  log: $events
  hooks:
    - argv: [/usr/local/bin/hook]
      only:
        kinds: [match.verified, match.unknown]
YAML
    facewarden config check "$config"
}

# --- Events ----------------------------------------------------------------------------------------------------------

# mark: events before this are not looked at any more.
marked=0
mark() { local -a lines=(); mapfile -t lines <"$events" && marked=${#lines[@]}; } 2>/dev/null

# since: the events since the mark.
since() { tail -n "+$((marked + 1))" "$events"; }

# count KIND: how many of a kind since the mark.
count() { since | grep -c "\"type\":\"$1\"" || true; }

# came KIND: whether one of a kind came since the mark.
came() {
    local -a lines=()
    mapfile -t -s "$marked" lines <"$events" && [[ "${lines[*]}" == *"\"type\":\"$1\""* ]]
} 2>/dev/null

# nobody_else_came: whether every decision since the mark is about the enrolled person. A track too short to say anything
# (a busy machine misses frames, and then the next one is begun) says nothing false.
nobody_else_came() {
    since | jq -e -s 'map(select(.type | startswith("match.")) | select(.reason != "insufficient_evidence"))
        | all(.type == "match.verified" and .person == "Barack Obama")'
}

# time_of KIND: when the first one came since the mark, in milliseconds since 1970.
time_of() { since | awk -v kind="\"type\":\"$1\"" 'index($0, kind) && !seen++' | jq -r "$(as_ms .at)"; }

# as_ms PATH: a jq expression for a time of an event in milliseconds since 1970.
as_ms() { echo "($1 | (.[0:19] + \"Z\" | fromdateiso8601) * 1000 + (.[20:23] | tonumber))"; }

# --- Small things ----------------------------------------------------------------------------------------------------

larger() { echo $(($1 > $2 ? $1 : $2)); }

scene_is() { [ "$(cam_says scene)" = "$1" ]; }

# thread_of STAGE: the name of the thread of a stage of the first camera.
thread_of() { awk -v stage="$1" 'index($0, stage) == 1 && !seen++' /proc/"$(of_unit MainPID)"/task/*/comm; }
