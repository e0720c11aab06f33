"""What a model class uses to answer requests by strategies, so that no finished work is lost.

    requests --plans--> programs --scheduler over engine and reward model--> responses

Engine and reward model are isolated from single faults and journaled; failures are counted. Each
model has its own session, and no two of them share anything."""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from itertools import count
from typing import Any

from lm_eval.api.instance import Instance

from lm_eval_tts import __version__
from lm_eval_tts.checkpoints import find_checkpoint
from lm_eval_tts.core.engine import Engine
from lm_eval_tts.core.identity import ADDING, digest
from lm_eval_tts.core.journal import Journal
from lm_eval_tts.core.program import Program
from lm_eval_tts.core.reward_model import LoadedRewardModel, RewardModel, Spent
from lm_eval_tts.core.scheduler import Job, run
from lm_eval_tts.core.trace import Trace
from lm_eval_tts.engines.reliable import ReliableEngine
from lm_eval_tts.errors import RequestError, SettingsError, failure_of
from lm_eval_tts.harness.progress import Progress
from lm_eval_tts.harness.response import Response
from lm_eval_tts.models.answering import Plan, failed, in_all_modes, make_plan, respond
from lm_eval_tts.models.arguments import take_arguments
from lm_eval_tts.models.chat import Chat, TemplateChat, in_mode
from lm_eval_tts.models.checkpoint import Checkpoint, check_thinking_end, find_family
from lm_eval_tts.reward_models.reliable import ReliableRewardModel
from lm_eval_tts.settings import Settings, parse_settings, take_switches
from lm_eval_tts.strategies import Abilities

logger = logging.getLogger(__name__)

LOCAL = Abilities()  # what a checkpoint in this process can do
ReadSettings = Callable[[Mapping[str, Any]], Settings]  # generation kwargs to settings
Answering = tuple[Engine, RewardModel | None]  # what answers the ops of a run
# An answer that is asked for: of which repeat, from 0, and what the chat template is told for it.
Wanted = tuple[Instance, int, Settings, Mapping[str, Any]]


def keys_of(requests: Sequence[Instance]) -> list[tuple[int, int]]:
    """Return what tells answers apart, the instance by id and the number of the repeat: lm_eval
    passes an instance once for each of its repeats."""
    counts: defaultdict[int, Iterator[int]] = defaultdict(count)
    return [(one, next(counts[one])) for one in map(id, requests)]


class Session:
    """Made of the arguments before a checkpoint is loaded; `serve` says what was loaded.
    defaults: settings of all tasks that set nothing else. reward_model: None without one."""

    checkpoint: Checkpoint
    chat: Chat
    _make_engine: Callable[[], Engine]

    def __init__(
        self, kwargs: dict[str, Any], model: str, known: frozenset[str], *, strict: bool = False
    ) -> None:
        """Take our arguments out of those of a model, as `take_arguments` does, and load the reward
        model, if one is named. Raises SettingsError."""
        self.defaults, self.state, named = take_arguments(kwargs, model, known, strict=strict)
        self.reward_model: LoadedRewardModel | None = None
        self._reward_name = named and named.reward_model
        self._spent_on_all_ranks: Spent | None = None
        if named is not None:
            named = replace(named, reward_model=find_checkpoint(named.reward_model))
            code = bool(kwargs.get("trust_remote_code"))
            self.reward_model = named.load(trust_remote_code=code)

    def serve(
        self,
        checkpoint: Checkpoint,
        chat: Chat,
        make_engine: Callable[[], Engine],
        abilities: Abilities = LOCAL,
    ) -> None:
        """Note what was loaded, and what it can do for a strategy."""
        self.checkpoint, self.chat = checkpoint, chat
        self._make_engine, self._abilities = make_engine, abilities
        if isinstance(chat, TemplateChat):
            checkpoint.family = find_family(chat)
            logger.info("%s", checkpoint.family.line(checkpoint.tokenizer))

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
        self, requests: Sequence[Instance], rank: int, world_size: int, disable_tqdm: bool
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
            (instance, key[1], settings[key], mode)
            for key, instance in unique.items()
            for mode in settings[key].modes.values() or [{}]
        ]
        disable = disable_tqdm or rank != 0
        with (
            self._answering(instances, read, rank) as answering,
            Progress(len(asked), disable=disable, world_size=world_size) as progress,
        ):
            made = iter(self._run(asked, answering, progress))
        responses = {key: in_all_modes(settings[key].modes, made) for key in unique}
        self.state.count(response.details.failure for response in responses.values())
        for key, instance in keys:
            if key not in responses:
                first = responses[key[0], key[1] % (instance.repeats or 1)]
                responses[key] = Response(str(first), replace(first.details, padding=True))
        return [responses[key] for key, _ in keys]

    def settings_reader(self) -> ReadSettings:
        """Return a function that reads generation kwargs, once for equal ones."""
        seen: dict[str, Settings] = {}
        loaded = self.checkpoint

        def read(kwargs: Mapping[str, Any]) -> Settings:
            key = repr(sorted(kwargs.items()))
            if key not in seen:
                given = {**self.defaults, **kwargs}
                if given.get("sampling") == "model" and not loaded.recommended:
                    raise SettingsError(
                        "sampling=model: the checkpoint's generation config recommends no sampling "
                        "or is not at hand: set temperature=, top_p=, top_k= or min_p="
                    )
                settings = parse_settings(given, loaded.family.delimiters, loaded.recommended)
                settings.strategy.check_model(self.abilities())
                try:
                    self._abilities.check_sampling(settings.sampling)
                except RequestError as error:
                    raise SettingsError(f"{self._abilities.name}: {error}") from None
                check_thinking_end(settings, given, loaded, self._abilities)
                seen[key] = settings
            return seen[key]

        return read

    def _warn_of_greed(self, asked: Iterable[Settings]) -> None:
        """Say once where a checkpoint is not decoded as its makers recommend."""
        wanted = [f"{name}={value}" for name, value in self.checkpoint.recommended.items()]
        if wanted and any(not settings.sampling.temperature for settings in asked):
            logger.warning(
                "decoding is greedy (temperature=0), and the checkpoint's generation config "
                "recommends %s: sampling=model uses that",
                ", ".join(wanted),
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

        def jobs() -> Iterator[Job[Trace]]:  # each is planned as its turn comes
            for number, one in enumerate(asked):
                try:
                    plans[number] = plan = self.plan(*one)
                    yield Job(plan.settings.strategy.run(plan.request), plan.seed)
                except SettingsError:  # of no document, but of all
                    raise
                except Exception as error:  # whatever a template or a tokenizer raises
                    yield Job(_failing(failure_of("the prompt's encoding", error)), 0)

        for result in run(jobs(), *answering):
            instance, _, settings, _ = asked[result.job]
            plan = plans.pop(result.job, None)
            response = respond(plan, result) if plan else failed(settings, str(result.value))
            responses[result.job] = response
            progress.count(instance, response, result.cost.num_sampled_tokens)
        return [responses[job] for job in range(len(asked))]

    @contextmanager
    def _answering(
        self, instances: Sequence[Instance], read: ReadSettings, rank: int
    ) -> Iterator[Answering]:
        """Give the engine and the reward model, isolated from single faults and journaled, after a
        look at what the journal's tasks asked before."""
        journal = self.state.open_journal(self.facts, self.defaults, rank)
        with nullcontext() if journal is None else journal:  # an empty one is false
            # One beside the results has its tasks in its name.
            if journal is not None and not self.state.journals:
                self._check_tasks(journal, instances, read)
            engine, rating = ReliableEngine(self.engine, journal), None
            if self.reward_model is not None:
                rating = ReliableRewardModel(self.reward_model, journal)
            try:
                yield engine, rating
            finally:
                self.state.lost = engine.lost
                if rating is not None:
                    rating.warn()

    def _check_tasks(
        self, journal: Journal, instances: Sequence[Instance], read: ReadSettings
    ) -> None:
        """Note in the journal what each task asks for, or find that it asked for something else."""
        for task in dict.fromkeys(instance.task_name for instance in instances):
            own = [instance for instance in instances if instance.task_name == task]
            kwargs = own[0].args[1]
            settings, given = read(kwargs), {**self.defaults, **kwargs}
            texts = digest(repr(settings.style), settings.instruction, repr(settings.delimiters))
            facts = {name: repr(given[name]) for name in sorted(given.keys() - ADDING)}
            prompts = {str(instance.doc_id): digest(str(instance.args[0])) for instance in own}
            journal.check_task(str(task), {**facts, "prompt texts": texts}, prompts)

    def facts(self) -> dict[str, str]:
        """Return by name what makes the results of two runs differ, whatever they ask."""
        loaded = self.checkpoint.facts(self.engine.max_length)
        rating = self.reward_model.facts() if self.reward_model else {}
        return {"lm_eval_tts": __version__, **loaded, **rating}

    def info(self) -> dict[str, Any]:
        """Return what results say about the checkpoint, and what all scores of the run cost. Time
        and tokens read depend on what is asked together, so no sample has a part of them."""
        info = {
            **self.checkpoint.names,
            "model_delimiters": self.checkpoint.family.delimiters,
            "template_thinking": self.checkpoint.family.thinking,
            "reward_model": self._reward_name,
            "recommended_sampling": self.checkpoint.recommended or None,
        }
        if self.reward_model is not None:
            spent = self._spent_on_all_ranks or self.reward_model.spent
            info["scorer_seconds"] = round(spent.seconds, 3)
            info["scorer_tokens_read"] = round(spent.num_tokens)
        return info

    def report(self) -> tuple[Counter[str], Spent]:
        """Return what this rank has to say of itself when results are gathered."""
        return self.state.tally, self.reward_model.spent if self.reward_model else Spent()

    def add_up(self, reports: Sequence[tuple[Counter[str], Spent]]) -> None:
        """Take what all ranks report as the whole run's."""
        tallies, spent = zip(*reports, strict=True)
        self.state.total = sum(tallies, Counter())
        self._spent_on_all_ranks = Spent().plus(*spent)


def _failing(error: RequestError) -> Program[Trace]:
    yield from ()
    raise error
