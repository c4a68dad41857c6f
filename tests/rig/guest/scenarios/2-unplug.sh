# Somebody stands in front of the camera, and it is pulled out 20 times at random moments, and plugged in again, every
# other time elsewhere: each time that is said, and they are let in again; and the service goes on as the same process.

is_active || systemctl start "$unit"
process=$(of_unit MainPID)
cam show known-stays
mark
within 10 "they are verified to begin with" came match.verified
lost_ms=0 back_ms=0 told_ms=0 grant_ms=0
nodes=""
RANDOM=5
for turn in $(seq 20); do
    # Also while it is still being opened, or before anybody was seen.
    sleep "$((RANDOM % 2)).$((RANDOM % 9 + 1))"
    mark
    pulled=$(now_ms)
    cam unplug
    within 4 "turn $turn: camera.lost" came camera.lost
    lost_ms=$(larger "$lost_ms" $(($(time_of camera.lost) - pulled)))
    sleep "$((RANDOM % 2)).$((RANDOM % 9 + 1))"
    ! came camera.recovered || failed "turn $turn: recovered without a camera"
    # Another camera takes the number of the one that is out, which comes back under another one.
    [ "$turn" != 10 ] || start_camera 2 0002
    plugged=$(now_ms)
    cam plug $((turn % 2))
    within 8 "turn $turn: camera.recovered" came camera.recovered
    within 8 "turn $turn: a grant" came match.verified
    nodes+="$(readlink -f "$by_id"_0001-video-index0) "
    back_ms=$(larger "$back_ms" $(($(time_of camera.recovered) - plugged)))
    told_ms=$(larger "$told_ms" $(($(time_of camera.recovered) - $(cam_says first_ms))))
    grant_ms=$(larger "$grant_ms" $(($(time_of match.verified) - $(cam_says first_ms))))
done
[ "$(of_unit MainPID)" = "$process" ] || failed "the service was restarted"
figure lost_within_ms "$lost_ms"
figure recovered_after_plugging_ms "$back_ms"
figure recovered_after_first_frame_ms "$told_ms"
figure grant_after_first_frame_ms "$grant_ms"
figure device_files "$(echo "$nodes" | tr ' ' '\n' | grep . | sort -u | wc -l)"
[ "$lost_ms" -le 2000 ] || failed "camera.lost took $lost_ms ms"
[ "$told_ms" -le 2000 ] || failed "camera.recovered took $told_ms ms from the first frame"
[ "$grant_ms" -le 3000 ] || failed "a grant took $grant_ms ms from the first frame"
