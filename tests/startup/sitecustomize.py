"""Read at the start of every Python that tests start: a test run indexes the tasks once.

lm_eval parses its nearly 14,000 files in each process, for some ten seconds. conftest.py names a
file for the index of lm_eval's own; the first process that needs it writes it. The files of a user
are indexed as ever.
"""

import functools
import importlib.util
import os
import pickle
import sys
from pathlib import Path

FILE = "LM_EVAL_TTS_TEST_TASKS"


def index_once(index) -> None:
    """Have `lm_eval.tasks._index` take the tasks of lm_eval itself as found before."""
    build, stock = index.TaskIndex.build, Path(index.__file__).parent

    @functools.cache
    def known() -> dict:
        file = Path(os.environ[FILE])
        if not file.exists():
            part = file.with_suffix(f".{os.getpid()}")  # whole or not at all: it may be killed
            part.write_bytes(pickle.dumps(build([stock]), protocol=5))
            part.replace(file)
        return pickle.loads(file.read_bytes())

    def build_on(paths, **options):
        rest = build([path for path in paths if path != stock], **options)
        return {**(known() if stock in paths else {}), **rest}

    index.TaskIndex.build = staticmethod(build_on)


class AfterImport:
    """A finder that has `index_once` act on the module as soon as it is imported."""

    def find_spec(self, name, path=None, target=None):
        if name != "lm_eval.tasks._index":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (run(module), index_once(module))
        return spec


if FILE in os.environ:
    sys.meta_path.insert(0, AfterImport())
