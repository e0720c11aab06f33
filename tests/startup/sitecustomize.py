"""Read at the start of every Python that tests start: what each would find anew is found once.

lm_eval parses its nearly 14,000 files of tasks in each process, for some ten seconds, and with each
result it asks pip for all that is installed, for two. conftest.py names a folder for the answers;
the first process that needs one writes it. The task files of a user are indexed as ever.
"""

import functools
import importlib.util
import os
import pickle
import sys
from pathlib import Path

FOLDER = "LM_EVAL_TTS_TEST_FOUND"


def once(name: str, find):
    """A function that returns what `find` has returned in this process or another."""

    @functools.cache
    def known():
        file = Path(os.environ[FOLDER], name)
        if not file.exists():
            part = file.with_suffix(f".{os.getpid()}")  # whole or not at all: it may be killed
            part.write_bytes(pickle.dumps(find(), protocol=5))
            part.replace(file)
        return pickle.loads(file.read_bytes())

    return known


def index_once(index) -> None:
    """Have `lm_eval.tasks._index` take the tasks of lm_eval itself as found before."""
    build, stock = index.TaskIndex.build, Path(index.__file__).parent
    known = once("index", lambda: build([stock]))

    def build_on(paths, **options):
        rest = build([path for path in paths if path != stock], **options)
        return {**(known() if stock in paths else {}), **rest}

    index.TaskIndex.build = staticmethod(build_on)


def ask_pip_once(environment) -> None:
    """Have `torch.utils.collect_env` take the description of this machine as found before."""
    environment.get_pretty_env_info = once("environment", environment.get_pretty_env_info)


class AfterImport:
    """A finder that has a function act on a module as soon as it is imported."""

    acts = {"lm_eval.tasks._index": index_once, "torch.utils.collect_env": ask_pip_once}

    def find_spec(self, name, path=None, target=None):
        act = self.acts.pop(name, None)
        if act is None:
            return None
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (run(module), act(module))
        return spec


if FOLDER in os.environ:
    sys.meta_path.insert(0, AfterImport())
