"""`generate_until` for any engine: requests to programs, programs to responses.

    context --prompt style, chat template--> token ids --strategy--> program --scheduler--> trace

A model class mixes this in and says how to render and encode a prompt and what its engine is.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from lm_eval_tts.core.engine import Engine
from lm_eval_tts.core.identity import problem_of, seed_key
from lm_eval_tts.core.program import TokenIds
from lm_eval_tts.core.reward_model import RewardModel
from lm_eval_tts.core.scheduler import Cost, Job, Result, derive_seed, run
from lm_eval_tts.core.trace import Candidate, Delimiters, Request, Trace
from lm_eval_tts.engines.stopping import num_tokens_within
from lm_eval_tts.engines.tokenizer import Tokenizer
from lm_eval_tts.errors import RequestError, SettingsError
from lm_eval_tts.grading import response_classes
from lm_eval_tts.harness.progress import Progress
from lm_eval_tts.harness.response import Details, Response, Usage
from lm_eval_tts.models.chat import ChatPrompt, history_of
from lm_eval_tts.models.keeping import Keeper
from lm_eval_tts.prompts import Message, build_messages
from lm_eval_tts.settings import Settings, parse_settings

logger = logging.getLogger(__name__)


class Instance(Protocol):
    """What is used of lm_eval.api.instance.Instance."""

    args: tuple[Any, ...]
    doc: Any
    task_name: str | None
    repeats: int | None


class Key(NamedTuple):
    """One answer to one instance; `repeat` counts from 0."""

    instance_id: int
    repeat: int

    def original(self, instance: Instance) -> Key:
        """Return the key that a padding copy repeats."""
        return self._replace(repeat=self.repeat % (instance.repeats or 1))


@dataclass(frozen=True, slots=True)
class _Plan:
    """A request that was checked and encoded, ready to run."""

    settings: Settings
    request: Request
    seed: int


class StrategyLM(Keeper):
    """Mixin for lm_eval model classes: runs the strategy that the generation kwargs name.

    A subclass sets `strategy_defaults` (settings from --model_args), `engine`, `text_tokenizer`
    and `cache_hook`, and defines `render`, `encode_prompt` and `run_seed`. policy_size,
    vocabulary_size: as in `Request`.
    """

    strategy_defaults: dict[str, Any]
    text_tokenizer: Tokenizer
    cache_hook: Any
    rank: int
    world_size: int
    policy_size: float | None = None
    vocabulary_size: int | None = None

    @property
    def engine(self) -> Engine:
        """The engine; made at first use."""
        raise NotImplementedError

    def render(self, messages: Sequence[Message]) -> tuple[str, bool]:
        """Return the prompt text of a chat, and whether it came from a chat template."""
        raise NotImplementedError

    def encode_prompt(self, text: str, templated: bool) -> TokenIds:
        """Return the ids of a whole prompt; a template has written its special tokens itself."""
        raise NotImplementedError

    def run_seed(self) -> int:
        """Return the seed of the run, for when the settings have none."""
        raise NotImplementedError

    def generate_until(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[Response]:
        """Answer each request by its strategy; a request that cannot be served is a failure.

        lm_eval passes an instance once for each repeat, and once more where it evens out ranks:
        those extra ones get a copy that is marked as padding.
        """
        numbered = number_repeats(requests)
        unique = {
            key: instance for key, instance in numbered if key.repeat < (instance.repeats or 1)
        }
        settings_of = self._settings_reader()
        plans = [self._plan(i, key.repeat, settings_of(i.args[1])) for key, i in unique.items()]
        disable = disable_tqdm or self.rank != 0
        instances = list(unique.values())
        with (
            self._kept(instances, settings_of) as (engine, reward_model),
            Progress(len(plans), disable=disable, world_size=self.world_size) as progress,
        ):
            made = self._run(plans, instances, engine, reward_model, progress)
        self._count(made)
        responses = dict(zip(unique, made, strict=True))
        for key, instance in unique.items():
            self.cache_hook.add_partial("generate_until", instance.args, responses[key])
        return [
            responses[key] if key in responses else _padding(responses[key.original(instance)])
            for key, instance in numbered
        ]

    def _settings_reader(self) -> Callable[[Mapping[str, Any]], Settings]:
        """Return a function that reads generation kwargs, once for equal ones."""
        seen: dict[str, Settings] = {}

        def read(kwargs: Mapping[str, Any]) -> Settings:
            key = repr(sorted(kwargs.items()))
            if key not in seen:
                seen[key] = parse_settings({**self.strategy_defaults, **kwargs})
                if "reward" in seen[key].strategy.score_names and self.reward_model is None:
                    raise SettingsError(
                        "the strategy needs a reward model: set reward_model= in model_args"
                    )
            return seen[key]

        return read

    def _plan(self, instance: Instance, repeat: int, settings: Settings) -> _Plan:
        context = instance.args[0]
        text, templated = self._prompt_text(context, settings)
        prompt = self.encode_prompt(text, templated)
        left = self.engine.max_length - len(prompt)
        asked = left if settings.max_gen_toks is None else settings.max_gen_toks
        start = settings.delimiters.thinking_start
        opened = bool(start.strip()) and text.rstrip().endswith(start.strip())
        seed = self.run_seed() if settings.seed is None else settings.seed
        seed = derive_seed(seed, seed_key(instance.doc, str(context)), repeat)
        request = Request(
            prompt=prompt,
            max_tokens=min(left, asked),
            encode=self.text_tokenizer.encode,
            decode=self.text_tokenizer.decode,
            question=history_of(context)[-1]["content"],
            delimiters=settings.delimiters,
            sampling=settings.sampling,
            until=settings.until,
            context_limited=left <= asked,
            thinking_opened=opened,
            seed=derive_seed(seed, "strategy"),
            classify=_classifier(instance, settings, start if opened else ""),
            problem=problem_of(instance.doc, str(context)),
            policy_size=self.policy_size,
            vocabulary_size=self.vocabulary_size,
        )
        return _Plan(settings, request, seed)

    def _prompt_text(self, context: str, settings: Settings) -> tuple[str, bool]:
        if settings.style is None:
            return str(context), isinstance(context, ChatPrompt)
        messages = build_messages(
            history_of(context), settings.style, settings.instruction, settings.instruction_role
        )
        return self.render(messages)

    def _run(
        self,
        plans: list[_Plan],
        instances: Sequence[Instance],
        engine: Engine,
        reward_model: RewardModel | None,
        progress: Progress,
    ) -> list[Response]:
        responses: list[Response | None] = [None] * len(plans)
        jobs = (Job(plan.settings.strategy.run(plan.request), plan.seed) for plan in plans)
        for result in run(jobs, engine, reward_model):
            response = self._respond(plans[result.job], result)
            responses[result.job] = response
            progress.update(instances[result.job], response, result.cost.num_sampled_tokens)
        return [response for response in responses if response is not None]

    def _respond(self, plan: _Plan, result: Result[Trace]) -> Response:
        if isinstance(result.value, RequestError):
            logger.warning("a request could not be served: %s", result.value)
            return _failed(plan, str(result.value))
        trace = result.value
        points = {label: self._response(plan, point) for label, point in trace.points}
        response = self._response(plan, trace, result.cost, points)
        if trace.candidates:
            candidates = tuple(self._candidate(plan, candidate) for candidate in trace.candidates)
            independent = plan.settings.strategy.num_samples > 0
            response.details = replace(
                response.details, candidates=candidates, independent=independent
            )
        return response

    def _candidate(self, plan: _Plan, candidate: Candidate) -> Response:
        response = self._response(plan, candidate.trace)
        response.details = replace(response.details, scores=dict(candidate.scores))
        return response

    def _response(
        self,
        plan: _Plan,
        trace: Trace,
        cost: Cost | None = None,
        points: Mapping[str, Response] = MappingProxyType({}),
    ) -> Response:
        """Return a trace's text; a tag that the template opened is shown as part of it."""
        marks = plan.settings.delimiters
        text = self.text_tokenizer.decode(trace.response_ids)
        thinking, answer = self._phases(trace, text, plan)
        cost = cost or Cost()
        usage = Usage(
            thinking=thinking,
            answer=answer,
            forced=trace.num_tokens(forced=True),
            total=trace.num_tokens(),
            sampled=cost.num_sampled_tokens,
            engine_calls=cost.num_engine_calls,
            scorer_calls=cost.num_scores,
            scorer_tokens=cost.num_scorer_tokens,
            waits=trace.num_waits,
            tries=trace.tries,
            truncated=trace.truncated("answer"),
            thinking_truncated=trace.truncated("thinking"),
            out_of_context=trace.out_of_context,
        )
        opened = marks.thinking_start if plan.request.thinking_opened else ""
        return Response(opened + text, Details(usage, tags_of(marks), points=dict(points)))

    def _phases(self, trace: Trace, text: str, plan: _Plan) -> tuple[int, int]:
        """Count thinking and answer tokens; where nothing was forced, the text's tags tell."""
        if trace.num_tokens("thinking") or trace.num_tokens(forced=True):
            return trace.num_tokens("thinking"), trace.num_tokens("answer")
        marks, ids = plan.settings.delimiters, trace.response_ids
        start, end = marks.thinking_start.strip(), marks.thinking_end.strip()
        opens = 0 if plan.request.thinking_opened else text.find(start) if start else -1
        closes = text.find(end) if end else -1
        if opens < 0 and closes < 0:
            return 0, len(ids)
        before = 0 if plan.request.thinking_opened or opens < 0 else opens + len(start)
        until = closes if closes >= 0 else len(text)
        first = num_tokens_within(ids, text, before, self.text_tokenizer)
        last = num_tokens_within(ids, text, until, self.text_tokenizer)
        behind = num_tokens_within(ids, text, min(until + len(end), len(text)), self.text_tokenizer)
        return last - first, len(ids) - behind


def _classifier(
    instance: Instance, settings: Settings, opening: str
) -> Callable[[Sequence[str]], list[int | None]]:
    """Return what tells a strategy which responses have equal answers.

    It reads the options of a document and not its answer, so that no strategy can come near it.
    opening: what the chat template has written of each response.
    """
    options = instance.doc.get("options") if isinstance(instance.doc, dict) else None
    tags = tags_of(settings.delimiters)
    return lambda texts: response_classes([opening + text for text in texts], options, tags)


def number_repeats(requests: list[Instance]) -> list[tuple[Key, Instance]]:
    """Pair each request with its key; lm_eval repeats the same instance for each repeat."""
    seen: Counter[int] = Counter()
    numbered = []
    for instance in requests:
        numbered.append((Key(id(instance), seen[id(instance)]), instance))
        seen[id(instance)] += 1
    return numbered


def tags_of(marks: Delimiters) -> tuple[str, str, str, str]:
    """Return the delimiters as the tags that format adherence and extraction look for."""
    return (
        marks.thinking_start.strip(),
        marks.thinking_end.strip(),
        marks.answer_start.strip(),
        marks.answer_end.strip(),
    )


def _failed(plan: _Plan, reason: str) -> Response:
    """Return an empty response with the points and candidates of a whole one.

    So its metrics have the names of the others'.
    """
    strategy, tags = plan.settings.strategy, tags_of(plan.settings.delimiters)
    points = {
        label: Response("", Details(tags=tags, failure=reason)) for label in strategy.point_labels
    }
    scores = dict.fromkeys(strategy.score_names, math.nan)
    candidate = Response("", Details(tags=tags, failure=reason, scores=scores))
    details = Details(
        tags=tags,
        failure=reason,
        points=points,
        candidates=(candidate,) * (strategy.num_samples or bool(strategy.score_names)),
        independent=strategy.num_samples > 0,
    )
    return Response("", details)


def _padding(response: Response) -> Response:
    return Response(str(response), replace(response.details, padding=True))
