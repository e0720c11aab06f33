"""Problems of the package reasoning-gym: drawn anew for each seed, rated by its own `score_answer`.

    --metadata '{"reasoning_gym": {"seed": 7, "size": 50, "difficulty": 2}}'

A worker process draws and rates: so a seed draws the same problems in every run, though some of its
tasks order them by hashes of texts, and an answer that arithmetic hangs on costs seconds. The
worker reads this file too, which therefore imports what is slow only where it is needed."""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from functools import cache
from importlib.util import find_spec
from typing import Any

from lm_eval_tts.errors import SettingsError, unknown_name
from lm_eval_tts.tasks.processes import WORKER

logger = logging.getLogger(__name__)

UNLESS_SAID = {"size": 100, "seed": 42}
# Problem k of seed s is its problem k + 1 of seed s - 1, so ours are spread as by Knuth's
# multiplicative hash (The Art of Computer Programming, vol. 3, 6.4): no two share a problem.
SPREAD, NUM_SEEDS = 2_654_435_761, 2**31
DRAW_SECONDS, RATE_SECONDS = 600.0, 30.0  # for all problems of a task; for one answer


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
    except TimeoutError as error:
        drawn = str(error)
    if isinstance(drawn, str):
        raise SettingsError(f"reasoning_gym {source} cannot be drawn: {drawn}")
    if "difficulty" in given and drawn[0]["difficulty"] is None:
        logger.warning("reasoning_gym_%s has no levels of difficulty: its own is taken", name)
    return {"test": datasets.Dataset.from_list(drawn)}


def score_answer(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Return the score of an answer, in [0, 1]; 0 for one that `score_answer` raises on, or has not
    read in time."""
    asked = doc["source"], doc["index"], results[0].strip()
    score = None
    with suppress(TimeoutError):
        score = WORKER.call(f"{__name__}:rate", *asked, seconds=RATE_SECONDS)
    return {"score": score or 0.0}


def draw(source: str) -> list[dict[str, Any]] | str:
    """Return all documents, or what is wrong with the settings. Called in the worker."""
    from reasoning_gym.factory import CURRICULA

    try:
        entries = [_entry(source, index) for index in range(len(_problems(source)))]
    except Exception as error:  # a config asserts and raises what it likes
        return str(error) or type(error).__name__
    settings = json.loads(source)
    return [
        {
            "id": f"{settings['name']}-{settings['seed']}-{index}",
            "question": entry["question"],
            "example_answer": str(entry["answer"]),  # one of those that are right
            "source": source,
            "index": index,
            "difficulty": settings.get("difficulty") if settings["name"] in CURRICULA else None,
        }
        for index, entry in enumerate(entries)
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
