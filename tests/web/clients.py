"""Other people's programs against the API of a running daemon: a client such as DeepFace's users have, and schemathesis, which
asks everything that the OpenAPI document describes, in many odd ways. Run by `make test-web`.

    clients.py PROGRAM
"""

import base64
import pathlib
import re
import subprocess
import sys
import tempfile

import jsonschema_rs
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from served import daemon

PICTURES = ROOT / "tests" / "pictures"
# Streams that do not end, and what goes on in front of a camera, which takes as long as somebody asks for.
ENDLESS = "stream|preview|kiosk$|cameras/.*/enrol|presentations"
CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance"


def data_uri(name):
    return "data:image/jpeg;base64," + base64.b64encode((PICTURES / name).read_bytes()).decode()


def as_deepface_is_called(url, token):
    """What programs do that call DeepFace's API with `requests` today."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"

    same = session.post(f"{url}/verify", json={"img1": data_uri("obama.jpg"), "img2": data_uri("obama2.jpg")}, timeout=60)
    assert same.status_code == 200, same.text
    verdict = same.json()
    assert verdict["verified"] is True and verdict["distance"] <= verdict["threshold"], verdict
    assert set(verdict) == {"verified", "distance", "threshold", "confidence", "model", "detector_backend",
                            "similarity_metric", "facial_areas", "time"}, verdict

    other = session.post(f"{url}/verify", json={"img1": data_uri("obama.jpg"), "img2": data_uri("biden.jpg")}, timeout=60)
    assert other.json()["verified"] is False, other.text

    with open(PICTURES / "obama.jpg", "rb") as one, open(PICTURES / "obama3.jpg", "rb") as two:
        form = session.post(f"{url}/verify", files={"img1": one, "img2": two}, data={"enforce_detection": "true"}, timeout=60)
    assert form.status_code == 200 and form.json()["verified"] is True, form.text

    with open(PICTURES / "obama.jpg", "rb") as one:
        found = session.post(f"{url}/represent", files={"img": one}, data={"max_faces": "1"}, timeout=60)
    results = found.json()["results"]
    assert len(results) == 1 and len(results[0]["embedding"]) == 512, found.text

    for bad in ({}, {"img": "not base64!"}, {"img": "/etc/passwd"}, {"img": "https://example.org/a.jpg"}, {"img": data_uri("cat.jpg")}):
        refused = session.post(f"{url}/represent", json=bad, timeout=60)
        assert refused.status_code == 400 and refused.json()["error"] and "Traceback" not in refused.text, refused.text
    print("clients: as DeepFace is called: passed")


def examples_are_true(url):
    """Every example of the document is what its schema says."""
    document = requests.get(f"{url}/openapi.json", timeout=30).json()
    count = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for media in (media for body in bodies for media in body.get("content", {}).values()):
                if "example" in media:
                    schema = {**media["schema"], "components": document["components"]}
                    problems = list(jsonschema_rs.Draft202012Validator(schema).iter_errors(media["example"]))
                    assert not problems, f"{method} {path}: {problems[0]}"
                    count += 1
    assert count > 30, count
    print(f"clients: {count} examples of the document are as it describes them")


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        camera = f'source: "{PICTURES}", fps: 2, loops: 100000'
        with daemon(program, folder, camera, "admin", 10000) as (process, url, token):
            examples_are_true(url)
            as_deepface_is_called(url, token)
            command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "-H", f"Authorization: Bearer {token}",
                       "--exclude-path-regex", ENDLESS, "-c", CHECKS, "-n", "15", "--request-timeout", "30", "--seed", "1", "--no-color"]
            asked = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            counted = re.search(r"\d+ generated, .*", asked.stdout)
            print(asked.stdout if asked.returncode else f"clients: schemathesis: {counted and counted.group(0)}")
            assert process.poll() is None, "the daemon ended"
        said = (folder / "log").read_text()
        assert process.returncode == 0 and "ERROR" not in said and "panicked" not in said, said[-4000:]
        return asked.returncode


sys.exit(main())
