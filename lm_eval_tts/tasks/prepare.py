"""What lm_eval learns of our tasks before it runs them: their targets, and what any model may do.

Those whose filter is `tts_grade` are graded by us, a user's own on our `_base` among them."""

import logging
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from lm_eval_tts.errors import looked_up
from lm_eval_tts.settings import setting_names
from lm_eval_tts.tasks.processing import GradeFilter
from lm_eval_tts.tasks.views import ensembles_of, has_step, kind_of

logger = logging.getLogger(__name__)

# Generation kwargs that every generative model of lm_eval takes.
_SAMPLING = ("do_sample", "temperature", "top_p", "top_k", "min_p", "repetition_penalty")
COMMON = frozenset(("until", "max_gen_toks", *_SAMPLING))


def prepare(
    lm: Any, task_dict: Mapping[str, Any], samples: Mapping[str, Any] | None = None
) -> None:
    """Make tasks of ours ready for a model. Raises SettingsError for samples of no task.
    task_dict: as `lm_eval.evaluate` takes it. samples: document numbers by task."""
    tasks = dict(_tasks_in(task_dict))
    for name in samples or {}:
        looked_up("task in --samples", name, tasks)
    for task in tasks.values():
        if has_step(task, GradeFilter):
            _grade_by_target(task)
            _name_split_of_examples(task)
        given = getattr(task.config, "generation_kwargs", None) or {}
        if not hasattr(lm, "session") and ("strategy" in given or "prompt_style" in given):
            _leave_out_strategy(task, dict(given))


def _tasks_in(task_dict: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the tasks by name; before 0.4.12 they stood in nested dicts of groups."""
    for name, task in task_dict.get("tasks", task_dict).items():
        if isinstance(task, Mapping):
            yield from _tasks_in(task)
        else:
            yield str(name), task


def _grade_by_target(task: Any) -> None:
    """Grade responses against `doc_to_target`, which is `answer` in the tasks we bring."""
    if task.config.doc_to_target == "answer":
        return
    for ensemble in ensembles_of(task):
        ensemble.filters = [
            partial(GradeFilter, target_of=task.doc_to_target) if kind_of(s) is GradeFilter else s
            for s in ensemble.filters
        ]


def _name_split_of_examples(task: Any) -> None:
    """Make lm_eval leave a document out of its own examples: it does where their split is named
    and is the one that is tested."""
    found = (getattr(task, name, None) for name in ("fewshot_cfg", "_fewshot_cfg"))  # 0.4, 0.5
    config = next(filter(None, found), None)
    has_others = task.has_training_docs() or task.has_validation_docs()
    if config is not None and config.split is None and not config.samples and not has_others:
        config.split = task.config.test_split


def _leave_out_strategy(task: Any, given: Mapping[str, Any]) -> None:
    """Leave a model that has no strategies what it understands: a plain response, as a baseline."""
    ours = setting_names(given.get("strategy", "single")) - COMMON
    kept = {name: value for name, value in given.items() if name not in ours}
    if thinking := given.get("max_thinking_tokens"):
        most = max(thinking) if isinstance(thinking, (list, tuple)) else thinking
        kept.setdefault("max_gen_toks", most + given.get("max_answer_tokens", 512))
    if kept != given:
        task.set_config("generation_kwargs", kept)
        logger.warning(
            "%s runs as a baseline: this model has no strategies or prompt styles, so %s left out",
            task.config.task,
            ", ".join(f"{name}={given[name]}" for name in given if name not in kept) + " are",
        )
