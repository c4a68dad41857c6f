#!/usr/bin/env python3
"""Search with faiss, in turn with `facewarden bench --only search --peer tests/peers/faiss_search.py`.

    faiss_search.py TEMPLATES PROBES DIMENSION

Both files are rows of f32, little-endian. A line with the name is printed when all is loaded; then each line `FROM COUNT`
on standard input is answered with a line for each of these probes: milliseconds of processor time, and the best row.
One thread, one probe at a time, and the C function is called directly, without what its Python wrapper adds.
Needs ./setup --peers.
"""

import os
import pathlib
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "vendor" / "peers"))
try:
    import faiss
    import numpy as np
except ImportError as error:
    sys.exit(f"faiss_search.py: {error}: run ./setup --peers")


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    templates, probes = (np.fromfile(path, "<f4").reshape(-1, int(sys.argv[3])) for path in sys.argv[1:3])
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(templates.shape[1])
    index.add(templates)
    del templates
    print(f"faiss {faiss.__version__} IndexFlatIP", flush=True)
    score, best = np.empty((1, 1), np.float32), np.empty((1, 1), np.int64)
    for line in sys.stdin:
        start, count = map(int, line.split())
        answers = []
        for probe in probes[start:start + count]:
            pointers = faiss.swig_ptr(probe), faiss.swig_ptr(score), faiss.swig_ptr(best)
            before = time.thread_time_ns()
            index.search_c(1, pointers[0], 1, pointers[1], pointers[2])
            answers.append(f"{(time.thread_time_ns() - before) / 1e6} {best[0, 0]}\n")
        sys.stdout.write("".join(answers))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
