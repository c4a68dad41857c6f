# A user installs the package, writes the configuration, enrols somebody and starts the service; then somebody enrolled
# walks up, and a stranger; the same when the camera gives raw pictures.

# At a second attempt it is there already.
systemctl stop "$unit" 2>/dev/null || true
cp /rig/facewarden.deb /root
cd /root
apt-get install --yes ./facewarden.deb
[ "$(systemctl is-enabled "$unit")" = disabled ] || failed "the package enables the service"
! is_active || failed "the package starts the service"

cat >/usr/local/bin/hook <<'HOOK'
#!/bin/sh
# Keeps what it is told, one event a line.
exec cat >>/var/lib/facewarden/hooked.jsonl
HOOK
chmod 755 /usr/local/bin/hook
configure mjpg 1280 720
facewarden enroll "Barack Obama" /rig/pictures/obama.jpg

# start_and_see FORMAT WIDTH HEIGHT: it is active not before frames flow.
start_and_see() {
    local before
    before=$(now_ms)
    systemctl start "$unit"
    figure "ready_ms_$1" "$(($(now_ms) - before))"
    [ "$(cam_says format) $(cam_says size)" = "$1 $2x$3" ] || failed "the camera gives $(cam_says format) $(cam_says size)"
    # The camera was plugged in anew before the service began, so its first frame is what the service asked for.
    [ "$(cam_says first_ms)" -gt "$before" ] || failed "no frame was asked for since the start"
    [ "$(date -d "$(of_unit ActiveEnterTimestamp)" +%s)" -ge $(($(cam_says first_ms) / 1000)) ] ||
        failed "it was active before the first frame"
    facewarden ctl status || failed "facewarden ctl status does not say that all is well"
}

# people_come: whom it lets in.
people_come() {
    mark
    cam show known then empty
    within 12 "the enrolled person is verified" came match.verified
    within 10 "they have left" scene_is empty
    nobody_else_came || failed "the enrolled person was taken for somebody else"
    mark
    cam show stranger then empty
    within 15 "the stranger is noticed" came_unlike
    within 10 "they have left" scene_is empty
    ! came match.verified || failed "the stranger was let in"
}

# came_unlike: whether somebody came who resembles nobody.
came_unlike() { came match.unknown && since | grep -q '"reason":"no_match"'; }

hooks_have_all() {
    local kinds='select(.type == "match.verified" or .type == "match.unknown") | .id'
    # Several may run at once.
    [ "$(jq -r "$kinds" "$events" | sort)" = "$(jq -r .id "$hooked" | sort)" ]
}

# Raw pictures are large: as with real cameras at USB 2.0, they are small ones.
for mode in "mjpg 1280 720" "yuyv 640 480"; do
    systemctl stop "$unit"
    cam unplug
    cam plug
    # shellcheck disable=SC2086 # three words
    configure $mode && start_and_see $mode
    people_come
    within 10 "the hook was told of all" hooks_have_all
done
configure mjpg 1280 720
systemctl restart "$unit"
