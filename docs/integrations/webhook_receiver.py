#!/usr/bin/env python3
"""Takes Facewarden's webhooks and says what it would do: an example to start from.

    webhook_receiver.py --secret-file attendance.secret --port 8080

Nothing but Python's own library is needed. Each request is told on standard output as one line of JSON, with an
`action`:

    open       a grant that is still good: here a door would be opened
    expired    a grant that came too late: it tells who was there, and opens nothing
    noted      any other event
    duplicate  had already; nothing is done again

It speaks plain HTTP, for this very machine. Put a web server with a certificate in front of it for other machines.
"""

import argparse
import base64
import binascii
import collections
import datetime
import hashlib
import hmac
import http.server
import json
import sys
import time

MAX_BODY_BYTES = 1 << 20
# A sender whose clock is further off is not believed: the request may be an old one that somebody recorded.
TOLERANCE_SECONDS = 300
# So many ids are remembered. Keep them in a database where a restart must not let one through twice.
REMEMBERED_IDS = 10_000


class Refusal(Exception):
    """The request is not taken; says with which status."""

    def __init__(self, status, why):
        super().__init__(why)
        self.status = status


def read_key(path):
    """The key from a file with `whsec_` and base64."""
    with open(path, encoding="ascii") as file:
        secret = file.read().strip()
    if not secret.startswith("whsec_"):
        raise ValueError(f"{path} does not begin with whsec_")
    return base64.b64decode(secret.removeprefix("whsec_"), validate=True)


def verify(keys, headers, body, now):
    """Checks who sent it and when; gives back its id. Comes before anything is read out of the body."""
    event_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    signatures = headers.get("webhook-signature", "")
    if not event_id or not timestamp.isascii() or not timestamp.isdigit():
        raise Refusal(400, "a header is missing")
    signed = f"{event_id}.{timestamp}.".encode() + body
    wanted = [hmac.new(key, signed, hashlib.sha256).digest() for key in keys]
    for signature in signatures.split(" "):
        version, _, encoded = signature.partition(",")
        try:
            given = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue
        # compare_digest takes equally long for every wrong signature, so that none can be found by trying.
        if version == "v1" and any(hmac.compare_digest(given, one) for one in wanted):
            break
    else:
        raise Refusal(401, "the signature is wrong")
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        # Not a 4xx: if it is a clock that is wrong, the event is still wanted once that is set.
        raise Refusal(503, "the time is too far off: compare the clocks")
    return event_id


def action_for(event, now):
    """What to do about an event, by its type and by the clock."""
    if event["type"] == "facewarden.match.verified.expired":
        return "expired"
    if event["type"] != "facewarden.match.verified":
        return "noted"
    until = datetime.datetime.fromisoformat(event["data"]["expires_at"].replace("Z", "+00:00"))
    return "open" if not event["data"].get("expired", False) and now < until.timestamp() else "expired"


class Receiver(http.server.BaseHTTPRequestHandler):
    """One request after the other, so that an event that comes twice cannot overtake itself."""

    # A sender that stalls is hung up on.
    timeout = 10
    keys = []
    seen = collections.OrderedDict()

    def do_POST(self):
        try:
            body = self.read_body()
            event_id = verify(self.keys, self.headers, body, time.time())
            line = self.take(event_id, body)
        except Refusal as refusal:
            print(f"refused with {refusal.status}: {refusal}", file=sys.stderr, flush=True)
            self.answer(refusal.status)
            return
        print(json.dumps(line), flush=True)
        # Only now: what has not been dealt with must come again.
        self.answer(204)

    def read_body(self):
        length = self.headers.get("content-length", "")
        if not length.isascii() or not length.isdigit():
            raise Refusal(411, "the length is missing")
        if int(length) > MAX_BODY_BYTES:
            raise Refusal(413, "too long")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise Refusal(400, "cut off")
        return body

    def take(self, event_id, body):
        if event_id in self.seen:
            return {"action": "duplicate", "id": event_id}
        try:
            event = json.loads(body)
            action = action_for(event, time.time())
            line = {"action": action, "id": event_id, "type": event["type"], "source": event["source"]}
            if "person" in event["data"] and action == "open":
                line["person"] = event["data"]["person"]
        except (ValueError, KeyError, TypeError) as error:
            raise Refusal(400, "this is not an event") from error
        self.seen[event_id] = None
        while len(self.seen) > REMEMBERED_IDS:
            self.seen.popitem(last=False)
        return line

    def answer(self, status):
        self.close_connection = True
        self.send_response(status)
        self.send_header("content-length", "0")
        self.send_header("connection", "close")
        self.end_headers()

    def log_message(self, *_):
        """Nothing about requests but what is printed above."""


def main():
    parser = argparse.ArgumentParser(description="Takes Facewarden's webhooks and says what it would do.")
    parser.add_argument("--secret-file", action="append", required=True, help="may be given twice while secrets change")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0: any that is free")
    arguments = parser.parse_args()
    Receiver.keys = [read_key(path) for path in arguments.secret_file]
    server = http.server.HTTPServer((arguments.host, arguments.port), Receiver)
    print(f"listening on {server.server_address[0]}:{server.server_address[1]}", file=sys.stderr, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
