"""A document and a response as the grader takes them, and a quick verdict for the progress line."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from lm_eval_tts.grading import DEFAULT_TAGS, Item, Kind, Tolerance, assess
from lm_eval_tts.harness.names import own_tasks
from lm_eval_tts.harness.response import Response

MAX_QUICK = 50_000  # characters; longer responses are left to the real grading
Doc = Mapping[str, Any]
_known_tasks = cache(own_tasks)


def tags_in(response: str) -> tuple[str, str, str, str]:
    """Return the tags that a response was asked to have; the r1 style's if none were noted."""
    return response.details.tags if isinstance(response, Response) else DEFAULT_TAGS


def item_of(response: str, doc: Doc) -> Item:
    """Return what the grader takes for a response to a document of our tasks."""
    options = doc.get("options")
    kind: Kind = "choice" if options else "math"
    question, tolerance = str(doc.get("question", "")), Tolerance.of(doc.get("tolerance"))
    return Item(str(response), doc["answer"], kind, options, tags_in(response), question, tolerance)


def quick_check(task: str | None, doc: Any, response: str) -> bool | None:
    """Grade a response for the progress line, without computer algebra. None where that cannot
    decide, and for tasks that are not of this package: their documents may mean other things."""
    if task not in _known_tasks() or len(response) > MAX_QUICK:
        return None
    try:
        verdict = assess(item_of(response, doc))
        return None if verdict.undecided else verdict.correct
    except Exception:  # a progress line must never end a run
        return None
