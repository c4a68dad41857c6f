# The camera freezes; then it gives frames that are empty, cut short, marked as faulty, or no pictures at all: they are
# dropped and counted, nobody is seen who is not there, and who is there is verified between them.

# It counts from its start on.
systemctl restart "$unit"
cam show empty
mark
sleep 1
cam fault freeze
within 5 "the freeze is noticed" came camera.lost
froze=$(cam_says whole_ms)
lost_ms=$(($(time_of camera.lost) - froze))
figure frozen_lost_ms "$lost_ms"
[ "$lost_ms" -le 3000 ] || failed "the freeze was noticed after $lost_ms ms"
cam fault none
within 8 "it recovers" came camera.recovered

# walk_under FAULT: somebody walks up while every third frame is damaged.
walk_under() {
    local before
    before=$(cam_says damaged)
    mark
    cam fault "$1"
    cam show known then empty
    within 15 "the enrolled person is verified under $1" came match.verified
    within 10 "they have left" scene_is empty
    cam fault none
    damaged=$(($(cam_says damaged) - before))
    note "$1: $damaged frames were damaged"
    nobody_else_came || failed "a false event under $1"
    ! came camera.lost || failed "the camera was given up under $1"
}

# By itself the driver keeps what it knows to be damaged to itself; with `nodrop` it hands it on, with a mark.
hand_on() {
    echo "$1" >/sys/module/uvcvideo/parameters/nodrop
    mark
    cam unplug
    within 4 "camera.lost" came camera.lost
    cam plug
    within 8 "camera.recovered" came camera.recovered
}

declare -A sent
hand_on 0
for fault in empty short errbit garbage; do
    walk_under "$fault=3"
    sent[$fault]=$damaged
done
hand_on 1
walk_under errbit=3
sent[marked]=$damaged
echo 0 >/sys/module/uvcvideo/parameters/nodrop

# It says what it has counted when it ends. Frames at the edge of a scene may not have been sent to the end.
systemctl stop "$unit"
for kind in flagged empty truncated corrupt missing; do figure "$kind" "$(counted "$kind")"; done
figure sent "${sent[empty]} empty, ${sent[short]} short, ${sent[errbit]} and ${sent[marked]} with the error bit, ${sent[garbage]} of garbage"
[ "$(counted truncated)" -ge $((${sent[short]} * 9 / 10)) ] || failed "frames that are cut short are not counted"
[ "$(counted flagged)" -ge $((${sent[marked]} * 9 / 10)) ] || failed "frames with the error bit are not counted"
[ "$(counted corrupt)" -ge $((${sent[garbage]} * 9 / 10)) ] || failed "frames of garbage are not counted"
# The driver passes an empty frame over, and drops those with the error bit unless told otherwise: what is left of them is a
# gap in its count.
[ "$(counted missing)" -ge $((${sent[errbit]} * 9 / 10)) ] || failed "gaps are not counted"
systemctl start "$unit"
