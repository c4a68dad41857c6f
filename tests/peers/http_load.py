"""What answering over HTTP costs the cameras: the frame lag of one camera without anybody asking, and with wrk asking for
/healthz a thousand times a second while others have pictures compared as fast as they are answered.

    http_load.py PROGRAM [SECONDS [TIMES]]

Each way is measured so many times (five, unless told), in turn, since the 99th percentile of a single run varies by some
milliseconds. The clients, which belong on other machines and share the processor here, get just the time that is left over:
what is measured is what the server costs, not what its clients do. Needs wrk, and vendor/ffmpeg for the recording. Prints a
line of JSON for each run, and the medians.
"""

import base64
import concurrent.futures
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from served import daemon

PICTURES = ROOT / "tests" / "pictures"
FFMPEG = os.environ.get("FACEWARDEN_FFMPEG", str(ROOT / "vendor" / "ffmpeg"))
# Thirteen connections that ask again ten milliseconds after each answer, which takes a few: about a thousand a second.
EVERY_10_MS = "function delay() return 10 end\n"


def record(folder):
    """Somebody who comes and goes, 640x360 at 30 frames a second."""
    subprocess.run([FFMPEG, "-loglevel", "error", "-f", "lavfi", "-i", "color=c=0x5a646e:s=640x360:r=30", "-loop", "1", "-i", PICTURES / "obama.jpg",
                    "-filter_complex", "[1]scale=-2:340[face];[0][face]overlay=x='if(lt(mod(t,4),2),150+20*mod(t,2),2000)':y=10", "-t", "8",
                    "-c:v", "mjpeg", "-q:v", "3", folder / "door.avi"], check=True)


def ask(url, token, path, body=None):
    request = urllib.request.Request(url + path, data=body, headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def leave_the_processor():
    """The thread that calls this, or the process that begins with it, gets the time that nobody else wants."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def compare(url, token, until):
    """Has pictures compared until then; how long each took."""
    body = json.dumps({f"img{n}": base64.b64encode((PICTURES / name).read_bytes()).decode() for n, name in ((1, "obama.jpg"), (2, "obama2.jpg"))}).encode()
    took = []
    while time.monotonic() < until:
        began = time.monotonic()
        ask(url, token, "/verify", body)
        took.append(time.monotonic() - began)
    return took


def run(program, folder, with_load, seconds):
    camera = f'source: "{folder}/door.avi", loops: 100000'
    with daemon(program, folder, camera, "admin", 100000) as (_, url, token):
        told = {"load": with_load}
        if with_load:
            (folder / "delay.lua").write_text(EVERY_10_MS)
            wrk = subprocess.Popen(["wrk", "-t1", "-c13", f"-d{seconds}", "-s", folder / "delay.lua", f"{url}/healthz"], stdout=subprocess.PIPE, text=True, preexec_fn=leave_the_processor)
            until = time.monotonic() + seconds
            with concurrent.futures.ThreadPoolExecutor(4, initializer=leave_the_processor) as askers:
                took = sorted(sum(askers.map(lambda _: compare(url, token, until), range(4)), []))
            said = wrk.communicate()[0]
            told["healthz_per_second"] = float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1))
            told["verify_per_second"] = round(len(took) / seconds, 1)
            told["verify_p50_ms"] = round(took[len(took) // 2] * 1000)
        else:
            time.sleep(seconds)
        door = ask(url, token, "/v1/cameras/door")
        told |= {key: door[key] for key in ("frame_lag_p50_ms", "frame_lag_p99_ms", "detected_fps")}
        print(json.dumps(told), flush=True)
        return told


def main():
    program, seconds, times = sys.argv[1], *(int(sys.argv[n]) if len(sys.argv) > n else usual for n, usual in ((2, 40), (3, 5)))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        record(folder)
        runs = [run(program, folder, with_load, seconds) for _ in range(times) for with_load in (False, True)]
        for with_load in (False, True):
            of = {key: statistics.median(told[key] for told in runs if told["load"] == with_load) for key in ("frame_lag_p50_ms", "frame_lag_p99_ms")}
            print(json.dumps({"median of": times, "load": with_load} | of))


main()
