"""The journal of a run: where it is, and whether its tasks ask what they asked before."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance

from lm_eval_tts.core.identity import ADDING, digest
from lm_eval_tts.core.journal import Facts, Journal
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.harness.run_state import RunState
from lm_eval_tts.settings import Settings

logger = logging.getLogger(__name__)

ReadSettings = Callable[[Mapping[str, Any]], Settings]  # generation kwargs to settings


def open_journal(
    state: RunState, facts_of: Callable[[], Facts], defaults: Mapping[str, Any], rank: int
) -> Journal | None:
    """Open the journal that was named, or one next to the results, where possible; None without.
    facts_of: what makes the results of two runs differ; asked for where there is a journal.
    defaults: settings of all tasks that do not say otherwise."""
    if state.journals is None:
        return Journal(state.journal, facts_of(), rank) if state.journal else None
    facts = facts_of()
    deciding = {name: repr(defaults[name]) for name in defaults.keys() - ADDING}
    folder = f"{state.journals}-{digest(repr(sorted({**facts, **deciding}.items())))}"
    try:
        journal = Journal(folder, facts, rank)
    except SettingsError as error:  # nobody asked for it, so it ends no run
        logger.warning("this run keeps no journal: %s", error)
        return None
    state.journal = folder
    return journal


def check_tasks(
    journal: Journal, instances: Sequence[Instance], read: ReadSettings, defaults: Mapping[str, Any]
) -> None:
    """Note in the journal what each task asks for, or find that it asked for something else."""
    for task in dict.fromkeys(instance.task_name for instance in instances):
        own = [instance for instance in instances if instance.task_name == task]
        kwargs = own[0].args[1]
        settings, given = read(kwargs), {**defaults, **kwargs}
        texts = digest(repr(settings.style), settings.instruction, repr(settings.delimiters))
        facts = {name: repr(value) for name, value in sorted(given.items()) if name not in ADDING}
        prompts = {str(instance.doc_id): digest(str(instance.args[0])) for instance in own}
        journal.check_task(str(task), {**facts, "prompt texts": texts}, prompts)
