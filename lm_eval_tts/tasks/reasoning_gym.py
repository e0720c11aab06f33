"""Problems of the package reasoning-gym: drawn anew for each seed, rated by its own `score_answer`.

    --metadata '{"reasoning_gym": {"seed": 7, "size": 50, "difficulty": 2}}'

A worker process draws and rates: so a seed draws the same problems in every run, though some of its
tasks order them by hashes of texts, and an answer that arithmetic hangs on costs seconds. The
worker reads this file too, which therefore imports what is slow only where it is needed."""

import atexit
import json
import logging
import os
import pkgutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lm_eval_tts.errors import SettingsError, unknown_name

logger = logging.getLogger(__name__)

UNLESS_SAID = {"size": 100, "seed": 42}
# Problem k of seed s is its problem k + 1 of seed s - 1, so ours are spread as by Knuth's
# multiplicative hash (The Art of Computer Programming, vol. 3, 6.4): no two share a problem.
SPREAD, NUM_SEEDS = 2_654_435_761, 2**31
DRAW_SECONDS, RATE_SECONDS = 600.0, 30.0  # for all problems of a task; for one answer
_SERVE = f"import sys; sys.path[:] = sys.argv[1:]; from {__name__} import serve; serve()"


class Worker:
    """A process with a hard time limit for each call, started at the first, and after it was lost.
    It is a fresh interpreter on every platform, never a fork; it talks over pipes and is ended by
    `Popen.kill`, so nothing depends on signals. It ends when its input closes, so it cannot outlive
    its parent. (pebble 5, tried: its processes import the caller's main module, look in the working
    folder first, and go on when their parent is killed.)"""

    _process: subprocess.Popen[str] | None = None

    def call(self, name: str, *arguments: Any, seconds: float) -> Any:
        """Return what the function `module:name` returns for JSON arguments. Raises ValueError if
        that raises, TimeoutError, with the process ended, and RuntimeError where it was killed."""
        if not self._process or self._process.poll() is not None:
            self._start()
        assert self._process
        began, killer = time.monotonic(), threading.Timer(seconds, self._process.kill)
        killer.start()
        try:
            print(json.dumps([name, *arguments]), file=self._process.stdin, flush=True)
            reply = json.loads(self._process.stdout.readline())  # type: ignore[union-attr]  # a pipe
        except (OSError, ValueError) as error:
            self.close()
            if time.monotonic() - began >= seconds:
                raise TimeoutError(f"no reply within {seconds} s") from error
            raise RuntimeError("the worker process ended") from error
        finally:
            killer.cancel()
        if isinstance(reply, str):
            raise ValueError(reply)
        return reply[0]

    def forget(self) -> None:
        """Leave the process to the parent that this one was forked from."""
        self._process = None

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()
            with suppress(OSError):  # what was not sent
                self._process.communicate()
        self.forget()

    def _start(self) -> None:
        """Start it with the paths of here, without the working folder, and this package."""
        self.close()
        package = str(Path(__file__).resolve().parents[2])
        here = os.getcwd() if os.getcwd() != package else None
        paths = [*(p for p in sys.path if p and os.path.abspath(p) != here), package]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="ascii",
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )


def serve() -> None:
    """Answer calls until the input closes."""
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what libraries print must not mix with the replies
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            reply: Any = [pkgutil.resolve_name(name)(*arguments)]
        except Exception as error:  # whatever a library raises
            reply = str(error) or type(error).__name__
        print(json.dumps(reply), file=replies, flush=True)


WORKER = Worker()
atexit.register(WORKER.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=WORKER.forget)


def load_problems(name: str, reasoning_gym: Any = None, **unused: Any) -> dict[str, Any]:
    """Return the documents of a task as the split `test`.
    name: as in reasoning-gym. reasoning_gym: `size`, `seed`, `difficulty` (a level of the task's
    curriculum, from 0) and fields of its config. unused: lm-eval passes all model arguments too.
    Raises SettingsError."""
    import datasets

    if find_spec("reasoning_gym") is None:
        raise SettingsError(f"reasoning_gym_{name} needs reasoning-gym: pip install reasoning-gym")
    if not isinstance(given := reasoning_gym or {}, Mapping):
        raise SettingsError(f"reasoning_gym={given!r}: allowed is an object, {UNLESS_SAID}")
    source = json.dumps({"name": name, **UNLESS_SAID, **given}, sort_keys=True)
    try:
        drawn = WORKER.call(f"{__name__}:draw", source, seconds=DRAW_SECONDS)
    except (TimeoutError, ValueError) as error:
        raise SettingsError(f"reasoning_gym {source} cannot be drawn: {error}") from error
    if "difficulty" in given and drawn[0]["difficulty"] is None:
        logger.warning("reasoning_gym_%s has no levels of difficulty: its own is taken", name)
    return {"test": datasets.Dataset.from_list(drawn)}


def score_answer(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Return the score of an answer, in [0, 1]; 0 where `score_answer` raises or is not in time."""
    asked = doc["source"], doc["index"], results[0].strip()
    with suppress(TimeoutError, ValueError):
        return {"score": WORKER.call(f"{__name__}:rate", *asked, seconds=RATE_SECONDS)}
    return {"score": 0.0}


def draw(source: str) -> list[dict[str, Any]]:
    """Return all documents. Called in the worker. Raises what reasoning-gym's configs raise."""
    from reasoning_gym.factory import CURRICULA

    settings = json.loads(source)
    level = settings.get("difficulty") if settings["name"] in CURRICULA else None
    return [
        {
            "id": f"{settings['name']}-{settings['seed']}-{index}",
            "question": entry["question"],
            "example_answer": str(entry["answer"]),  # one of those that are right
            "source": source,
            "index": index,
            "difficulty": level,
        }
        for index, entry in ((i, _entry(source, i)) for i in range(len(_problems(source))))
    ]


def rate(source: str, index: int, answer: str) -> float:
    """Return what `score_answer` says. Called in the worker."""
    return float(_problems(source).score_answer(answer=answer, entry=_entry(source, index)))


@cache
def _entry(source: str, index: int) -> dict[str, Any]:
    return _problems(source)[index]  # type: ignore[no-any-return]


@cache
def _problems(source: str) -> Any:
    """Return reasoning-gym's data set. Raises SettingsError, and whatever its config raises."""
    from reasoning_gym.factory import CURRICULA, DATASETS

    given = json.loads(source)
    name, level = given.pop("name"), given.pop("difficulty", None)
    make, config_of = DATASETS[name]
    names = {field.name for field in fields(config_of)}
    for key in given.keys() - names:
        raise unknown_name(f"setting of {name}", key, names | {"difficulty"})
    given["seed"] = int(given["seed"]) * SPREAD % NUM_SEEDS
    config = config_of(**given)
    if level is not None and name in CURRICULA:
        curriculum = CURRICULA[name]()
        curriculum.set_global_level(level)
        config = replace(curriculum.generate_configuration(), **given)
    return make(config=config)
