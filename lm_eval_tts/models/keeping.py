"""What a model does so that no work is lost: a journal, isolated faults, counted failures.

A part of `StrategyLM`, in a file of its own because it knows nothing of prompts and programs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from lm_eval_tts import __version__
from lm_eval_tts.core.disk import check_writable
from lm_eval_tts.core.engine import Engine
from lm_eval_tts.core.journal import Journal
from lm_eval_tts.core.reward_model import RewardModel, Spent
from lm_eval_tts.engines.isolated import IsolatedEngine
from lm_eval_tts.engines.journaled import JournaledEngine
from lm_eval_tts.harness.response import Response
from lm_eval_tts.harness.run_state import MAX_FAILURES, Tally, outcome
from lm_eval_tts.models.arguments import check_share
from lm_eval_tts.models.identity import by_document, settings_facts
from lm_eval_tts.models.scoring import Scoring
from lm_eval_tts.reward_models.journaled import JournaledRewardModel
from lm_eval_tts.settings import Settings

KEEPING = ("journal", "max_failures")


def take_keeping(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Take what `keep` takes out of model arguments."""
    return {name: kwargs.pop(name) for name in KEEPING if name in kwargs}


class Kept(NamedTuple):
    """What answers the ops of a run so that nothing finished is lost."""

    engine: Engine
    reward_model: RewardModel | None


class Keeper(Scoring):
    """Mixin for model classes, in front of lm_eval's own class, whose gathering it extends."""

    strategy_defaults: dict[str, Any]
    rank: int
    _journal: str | None = None
    _tally: Tally = Tally()

    @property
    def engine(self) -> Engine:
        """The engine; made at first use."""
        raise NotImplementedError

    def run_facts(self) -> dict[str, str]:
        """Return what makes the results of two runs differ, whatever they ask; values are shown."""
        raise NotImplementedError

    def keep(self, journal: str | None = None, max_failures: Any = MAX_FAILURES) -> None:
        """Check and note what the model arguments of these names say. Raises SettingsError.

        journal: folder that keeps finished requests, for a run to continue where it stopped.
        max_failures: share of requests that may fail before the command's exit code tells.
        """
        outcome.active, outcome.journal = True, journal
        outcome.max_failures = check_share("max_failures", max_failures)
        if journal is not None:
            check_writable("journal", journal)
        self._journal = journal

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: Mapping[str, Any], additional_config: Mapping[str, Any] | None = None
    ) -> Any:
        """Make a model as lm_eval does, but model_args may name a device or batch size too."""
        return super().create_from_arg_obj({**(additional_config or {}), **arg_dict})  # type: ignore[misc]

    @contextmanager
    def _kept(
        self, instances: Sequence[Any], settings_of: Callable[[Mapping[str, Any]], Settings]
    ) -> Iterator[Kept]:
        """Give the engine, isolated from single faults, and the reward model, both journaled."""
        engine = IsolatedEngine(self.engine)
        if self._journal is None:
            yield Kept(engine, self.reward_model)
            return
        facts = {"lm_eval_tts": __version__, **self.run_facts()}
        with Journal(self._journal, facts, self.rank) as journal:
            self._check_tasks(journal, instances, settings_of)
            try:
                yield Kept(JournaledEngine(engine, journal), self._journaled(journal))
            finally:
                outcome.num_journaled = len(journal)

    def _journaled(self, journal: Journal) -> RewardModel | None:
        return self.reward_model and JournaledRewardModel(self.reward_model, journal)

    def _check_tasks(
        self,
        journal: Journal,
        instances: Sequence[Any],
        settings_of: Callable[[Mapping[str, Any]], Settings],
    ) -> None:
        for task in dict.fromkeys(instance.task_name for instance in instances):
            own = [instance for instance in instances if instance.task_name == task]
            given = {**self.strategy_defaults, **own[0].args[1]}
            settings = settings_facts(given, settings_of(own[0].args[1]))
            prompts = by_document((instance.doc_id, str(instance.args[0])) for instance in own)
            journal.check_task(str(task), settings, prompts)

    def _count(self, responses: Sequence[Response]) -> None:
        failed = sum(response.details.failure is not None for response in responses)
        self._tally = self._tally.plus(Tally(len(responses), failed))
        outcome.tally = self._tally

    def gather_object(self, obj: Any, dst: int = 0) -> Any:
        """Gather as lm_eval does; documents that failed may be missing on one rank only."""
        told = super().gather_object((self._tally, self._spent), dst)  # type: ignore[misc]
        gathered = super().gather_object(obj, dst)  # type: ignore[misc]
        if gathered is None:
            return None
        tallies, spent = zip(*told, strict=True)
        outcome.tally = Tally().plus(*tallies)
        self._spent_on_all_ranks = Spent().plus(*spent)
        return fill_gaps(gathered)


def fill_gaps(gathered: list[Any]) -> list[Any]:
    """Give each rank's lists of metrics the names that another has; anything else is left alone.

    gathered: for each rank {task: {(metric, filter): values}}. A rank on which all documents of a
    task failed has a NaN for each metric, which is dropped where another rank has values.
    """
    if not all(_is_metrics(rank) for rank in gathered):
        return gathered
    for task in gathered[0]:
        for name in {name for rank in gathered for name in rank[task]}:
            lists = [rank[task].setdefault(name, []) for rank in gathered]
            known = [any(map(_is_value, values)) for values in lists]
            for values, has_some in zip(lists, known, strict=True):
                if any(known) and not has_some:
                    values.clear()
    return gathered


def _is_metrics(rank: Any) -> bool:
    return isinstance(rank, dict) and all(isinstance(value, dict) for value in rank.values())


def _is_value(value: Any) -> bool:
    return not (isinstance(value, float) and math.isnan(value))
