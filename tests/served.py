"""A program of its own while something is asked of it: how the tests and measurements that are written in Python start the
daemon, and what it is compared with."""

import contextlib
import pathlib
import re
import subprocess
import time
import typing

# A server that does not say within so long that it listens does not come up.
COMES_UP_WITHIN = 120


class Served(typing.NamedTuple):
    process: subprocess.Popen
    url: str
    token: str


@contextlib.contextmanager
def started(command, log, wait_for, **more):
    """A running command, and what the pattern `wait_for` finds in the log that it writes; it is ended with SIGTERM."""
    log = pathlib.Path(log)
    with open(log, "w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, **more)
    try:
        until = time.monotonic() + COMES_UP_WITHIN
        while not (found := re.search(wait_for, log.read_text())):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{command[0]} does not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.1)
        yield process, found[1]
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextlib.contextmanager
def daemon(program, folder, camera, scope, limit, http="", more=""):
    """The daemon with one camera (the YAML of its settings), a gallery of its own and a token of that scope, which may ask
    `limit` times a second. Its log is `folder/log`."""
    (folder / "enrolled").mkdir(mode=0o700, exist_ok=True)
    (folder / "tokens.json").unlink(missing_ok=True)
    config = folder / "facewarden.yaml"
    config.write_text(f"""
schema: 1
cameras: [{{ id: door, {camera} }}]
liveness: {{ mode: report, self_test_file: "{folder}/liveness.json" }}
gallery: {{ folder: "{folder}/enrolled" }}
events: {{ log: "{folder}/events.jsonl", outbox: {{ folder: "{folder}/outbox" }} }}
http: {{ listen: "127.0.0.1:0", tokens: "{folder}/tokens.json", requests_per_second: {limit}{http} }}
{more}
""")
    create = [program, "token", "create", "tests", "--scope", scope, "--config", config]
    made = subprocess.run(create, check=True, capture_output=True, text=True)
    with started([program, "run", "--config", config], folder / "log", r"HTTP is answered at (\S+)") as (process, url):
        yield Served(process, url, made.stdout.strip())
