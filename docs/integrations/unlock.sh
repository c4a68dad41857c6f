#!/bin/sh
# A hook that opens a door by a GPIO line, with the tools of libgpiod 1.6 (Debian 12: package gpiod):
#
#   events:
#     hooks:
#       - argv: [/usr/local/bin/unlock.sh, gpiochip0, "17", "3"]     # chip, line, seconds
#
# With libgpiod 2 the last line is: exec gpioset -c "$chip" -t "${seconds}s,0" "$line=1"
# `events.relays` does the same without a script.
set -eu
chip=$1 line=$2 seconds=$3

# Set for a grant, and for nothing else.
[ -n "${FACEWARDEN_PERSON:-}" ] || exit 0

# A grant that is over opens nothing. Both times are in UTC, so they compare as text.
now=$(date --utc +%Y-%m-%dT%H:%M:%S.%3NZ)
if [ "$(printf '%s\n' "$now" "$FACEWARDEN_EXPIRES_AT" | sort | tail -n 1)" = "$now" ]; then
    echo "too late: the grant was good until $FACEWARDEN_EXPIRES_AT"
    exit 0
fi
exec gpioset --mode=time --sec="$seconds" "$chip" "$line=1"
