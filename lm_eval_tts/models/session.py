"""What a model class uses to answer requests by strategies, so that no finished work is lost.

    requests --plans--> programs --scheduler over engine and reward model--> responses

Engine and reward model are isolated from single faults and journaled; failures are counted. Each
model has its own session, and no two of them share anything."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

from lm_eval.api.instance import Instance

from lm_eval_tts import __version__
from lm_eval_tts.checkpoints import find_checkpoint
from lm_eval_tts.core.engine import Engine
from lm_eval_tts.core.program import Program
from lm_eval_tts.core.reward_model import LoadedRewardModel, RewardModel, Spent
from lm_eval_tts.core.scheduler import Job, run
from lm_eval_tts.core.trace import Trace
from lm_eval_tts.engines.isolated import IsolatedEngine
from lm_eval_tts.engines.journaled import JournaledEngine
from lm_eval_tts.errors import RequestError, SettingsError, failure_of
from lm_eval_tts.harness.progress import Progress
from lm_eval_tts.harness.response import Response
from lm_eval_tts.harness.run_state import RunState, Tally, journals_of_this_run
from lm_eval_tts.models.answering import Plan, failed, in_all_modes, make_plan, respond
from lm_eval_tts.models.arguments import OwnArguments
from lm_eval_tts.models.chat import Chat, TemplateChat, in_mode
from lm_eval_tts.models.checkpoint import (
    Checkpoint,
    ModelFamily,
    check_thinking_end,
    find_family,
    recommended_sampling,
)
from lm_eval_tts.models.journaling import ReadSettings, check_tasks, open_journal
from lm_eval_tts.reward_models.wrappers import IsolatedRewardModel, JournaledRewardModel
from lm_eval_tts.settings import Settings, parse_settings, take_switches
from lm_eval_tts.strategies import Abilities

logger = logging.getLogger(__name__)

LOCAL = Abilities()  # what a checkpoint in this process can do
Key = tuple[int, int]  # of an answer: its instance by id, and which of its repeats it is, from 0
Answering = tuple[Engine, RewardModel | None]  # what answers the ops of a run
Report = tuple[Tally, Spent]  # what a rank has to say of itself when results are gathered


class Wanted(NamedTuple):
    """One answer that is asked for."""

    instance: Instance
    repeat: int
    settings: Settings
    mode: Mapping[str, Any]  # what the chat template is told beside what it always is


def keys_of(requests: Sequence[Instance]) -> list[Key]:
    """Return what tells answers apart: lm_eval passes an instance once for each of its repeats."""
    seen: Counter[int] = Counter()
    keys = []
    for one in map(id, requests):
        keys.append((one, seen[one]))
        seen[one] += 1
    return keys


class Session:
    """Made of the arguments before a checkpoint is loaded; `serve` says what was loaded.
    defaults: settings of all tasks that set nothing else. reward_model: None without one."""

    checkpoint: Checkpoint
    chat: Chat
    _make_engine: Callable[[], Engine]

    def __init__(self, arguments: OwnArguments, *, trust_remote_code: bool = False) -> None:
        """Load the reward model, if one is named. Raises SettingsError."""
        self.defaults = dict(arguments.defaults)
        beside = arguments.keeps_journal and arguments.journal is None
        journals = journals_of_this_run() if beside else None
        self.state = RunState(arguments.journal, journals, arguments.max_failures)
        self.reward_model: LoadedRewardModel | None = None
        self._reward_name: str | None = None
        self._spent_on_all_ranks: Spent | None = None
        self.family = ModelFamily()
        if (named := arguments.reward_model) is not None:
            self._reward_name = named.reward_model
            named = replace(named, reward_model=find_checkpoint(named.reward_model))
            self.reward_model = named.load(trust_remote_code=trust_remote_code)

    def serve(
        self,
        checkpoint: Checkpoint,
        chat: Chat,
        make_engine: Callable[[], Engine],
        abilities: Abilities = LOCAL,
    ) -> None:
        """Note what was loaded, and what it can do for a strategy."""
        self.checkpoint, self.chat = checkpoint, chat
        self.recommended = recommended_sampling(checkpoint.generation_config)
        self._make_engine, self._abilities = make_engine, abilities
        if isinstance(chat, TemplateChat):
            self.family = find_family(chat)
            checkpoint.turn_end = self.family.turn_end
            logger.info("%s", self.family.line(checkpoint.tokenizer))

    def template_args(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return what the chat template always gets: these, and reasoning modes of one value
        among the model's arguments."""
        return {**(given or {}), **take_switches(self.defaults)}

    @cached_property
    def engine(self) -> Engine:
        """The engine; made at first use, when the batch size is settled."""
        return self._make_engine()

    def renew_engine(self) -> None:
        """Make the next use create a new engine: the last one was made for other weights."""
        self.__dict__.pop("engine", None)

    def answer(
        self, requests: Sequence[Instance], rank: int, world_size: int, *, show_progress: bool
    ) -> list[Response]:
        """Answer each request by its strategy; a request that cannot be served is a failure.
        Where lm_eval evens out ranks, it passes an instance more often than it has repeats: those
        extra ones get a copy that is marked as padding."""
        keys = list(zip(keys_of(requests), requests, strict=True))
        unique = {key: instance for key, instance in keys if key[1] < (instance.repeats or 1)}
        instances, read = list(unique.values()), self.settings_reader()
        settings = {key: read(instance.args[1]) for key, instance in unique.items()}
        self._warn_of_greed(settings.values())
        asked = [
            Wanted(instance, key[1], settings[key], mode)
            for key, instance in unique.items()
            for mode in settings[key].modes.values() or [{}]
        ]
        disable = not show_progress or rank != 0
        with (
            self._answering(instances, read, rank) as answering,
            Progress(len(asked), disable=disable, world_size=world_size) as progress,
        ):
            made = iter(self._run(asked, answering, progress))
        responses = {key: in_all_modes(settings[key].modes, made) for key in unique}
        self.count(list(responses.values()))
        for key, instance in keys:
            if key not in responses:
                first = responses[key[0], key[1] % (instance.repeats or 1)]
                responses[key] = Response(str(first), replace(first.details, padding=True))
        return [responses[key] for key, _ in keys]

    def settings_reader(self) -> ReadSettings:
        """Return a function that reads generation kwargs, once for equal ones."""
        seen: dict[str, Settings] = {}

        def read(kwargs: Mapping[str, Any]) -> Settings:
            key = repr(sorted(kwargs.items()))
            if key not in seen:
                given = {**self.defaults, **kwargs}
                if given.get("sampling") == "model" and not self.recommended:
                    raise SettingsError(
                        "sampling=model: the checkpoint's generation config recommends no sampling "
                        "or is not at hand: set temperature=, top_p=, top_k= or min_p="
                    )
                seen[key] = parse_settings(given, self.family.delimiters, self.recommended)
                seen[key].strategy.check_model(self.abilities())
                try:
                    self._abilities.check_sampling(seen[key].sampling)
                except RequestError as error:
                    raise SettingsError(f"{self._abilities.name}: {error}") from None
                check_thinking_end(
                    seen[key], given, self.family, self._abilities, self.checkpoint.text
                )
            return seen[key]

        return read

    def _warn_of_greed(self, asked: Iterable[Settings]) -> None:
        """Say once where a checkpoint is not decoded as its makers recommend."""
        if self.recommended and any(not settings.sampling.temperature for settings in asked):
            wanted = ", ".join(f"{name}={value}" for name, value in self.recommended.items())
            logger.warning(
                "decoding is greedy (temperature=0), and the checkpoint's generation config "
                "recommends %s: sampling=model uses that",
                wanted,
            )

    def abilities(self) -> Abilities:
        """Return what the model can do for a strategy, with what else is loaded."""
        loaded, size = self.reward_model is not None, self.checkpoint.policy_size
        return replace(self._abilities, reward_model=loaded, policy_size=size)

    def plan(
        self, instance: Instance, repeat: int, settings: Settings, mode: Mapping[str, Any] = {}
    ) -> Plan:
        """Return the plan of one answer."""
        styled, most = settings.style is not None, self.engine.max_length
        chat, context = in_mode(self.chat, instance.args[0], mode, styled=styled)
        return make_plan(instance, context, repeat, settings, chat, self.checkpoint, most)

    def _run(
        self, asked: Sequence[Wanted], answering: Answering, progress: Progress
    ) -> list[Response]:
        plans: dict[int, Plan] = {}  # of what is under way
        responses: dict[int, Response] = {}
        for result in run(self._jobs(asked, plans), *answering):
            plan, one = plans.pop(result.job, None), asked[result.job]
            if plan is None:
                response = failed(one.settings, str(result.value))
            else:
                response = respond(plan, result, self.checkpoint.text)
            responses[result.job] = response
            progress.update(one.instance, response, result.cost.num_sampled_tokens)
        return [responses[job] for job in range(len(asked))]

    def _jobs(self, asked: Sequence[Wanted], plans: dict[int, Plan]) -> Iterator[Job[Trace]]:
        """Plan each request as its turn comes; one that cannot be planned has no plan and fails."""
        for number, one in enumerate(asked):
            try:
                plan = self.plan(*one)
                job = Job(plan.settings.strategy.run(plan.request), plan.seed)
                plans[number] = plan
            except SettingsError:  # of no document, but of all
                raise
            except Exception as error:  # whatever a template or a tokenizer raises
                job = Job(_failing(failure_of("the prompt's encoding", error)), 0)
            yield job

    @contextmanager
    def _answering(
        self, instances: Sequence[Instance], read: ReadSettings, rank: int
    ) -> Iterator[Answering]:
        """Give the engine, isolated from single faults, and the reward model, both journaled, after
        a look at what the journal's tasks asked before."""
        engine: Engine = (isolated := IsolatedEngine(self.engine))
        known: RewardModel | None = self.reward_model
        journal = open_journal(self.state, self.facts, self.defaults, rank)
        with nullcontext() if journal is None else journal:  # an empty one is false
            if journal is not None:
                if not self.state.journals:  # one beside the results has this in its name
                    check_tasks(journal, instances, read, self.defaults)
                engine = JournaledEngine(isolated, journal)
                known = self.reward_model and JournaledRewardModel(self.reward_model, journal)
            rating = None if known is None else IsolatedRewardModel(known)
            try:
                yield engine, rating
            finally:
                self.state.lost = isolated.lost
                if journal is not None:
                    self.state.num_journaled = len(journal)
                if rating is not None:
                    rating.warn()
        if journal is not None:
            self.state.journal_lost = journal.lost

    def facts(self) -> dict[str, str]:
        """Return by name what makes the results of two runs differ, whatever they ask."""
        loaded = self.checkpoint.facts(self.engine.max_length)
        rating = self.reward_model.facts() if self.reward_model else {}
        return {"lm_eval_tts": __version__, **loaded, **rating}

    def info(self) -> dict[str, Any]:
        """Return what results say about the checkpoint, and what all scores of the run cost. Time
        and tokens read depend on what is asked together, so no sample has a part of them."""
        named = {"reward_model": self._reward_name}
        info = {**self.checkpoint.names, **self.family.record, **named}
        info["recommended_sampling"] = self.recommended or None
        if self.reward_model is not None:
            spent = self._spent_on_all_ranks or self.reward_model.spent
            info["scorer_seconds"] = round(spent.seconds, 3)
            info["scorer_tokens_read"] = round(spent.num_tokens)
        return info

    def count(self, responses: Sequence[Response]) -> None:
        """Add responses to the tally."""
        failures = [r.details.failure for r in responses if r.details.failure is not None]
        self.state.tally = self.state.tally.plus(Tally(len(responses), len(failures)))
        self.state.first_failure = self.state.first_failure or next(iter(failures), "")

    def report(self) -> Report:
        """Return what this rank reports about itself."""
        return self.state.tally, self.reward_model.spent if self.reward_model else Spent()

    def add_up(self, reports: Sequence[Report]) -> None:
        """Take what all ranks report as the whole run's."""
        tallies, spent = zip(*reports, strict=True)
        self.state.total = Tally().plus(*tallies)
        self._spent_on_all_ranks = Spent().plus(*spent)


def _failing(error: RequestError) -> Program[Trace]:
    yield from ()
    raise error
