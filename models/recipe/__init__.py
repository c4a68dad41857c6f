"""Steps of the recipe that turns files from registry packages into Facewarden's models.

Importing it makes the packages that `./setup --prepare-env` installed usable, and says so where they are missing.
"""

import importlib.util
import pathlib
import sys

_PREPARED = pathlib.Path(__file__).resolve().parents[2] / "vendor" / "python"
if _PREPARED.is_dir():
    sys.path.insert(0, str(_PREPARED))
_missing = [name for name in ("numpy", "onnx", "onnxruntime", "tflite", "yaml", "PIL") if not importlib.util.find_spec(name)]
if _missing:
    sys.exit(f"the Python packages {', '.join(_missing)} are missing: run ./setup --prepare-env first")
