"""One request on its way to a strategy and back.

instance, context --prompt style, chat template--> token ids --settings--> request
request --strategy--> trace --tokenizer--> the response that lm_eval sees and logs"""

import logging
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice, pairwise
from typing import Any

from lm_eval.api.instance import Instance

from lm_eval_tts.core.identity import digest, problem_of, seed_key
from lm_eval_tts.core.scheduler import Cost, Result, derive_seed
from lm_eval_tts.core.texts import answer_in, opening_of
from lm_eval_tts.core.trace import Request, Trace
from lm_eval_tts.engines.stopping import num_tokens_within
from lm_eval_tts.engines.tokenizer import Tokenizer
from lm_eval_tts.errors import RequestError, SettingsError, failure_of
from lm_eval_tts.grading import response_classes
from lm_eval_tts.harness.response import Details, Prompt, Response, Usage
from lm_eval_tts.models.chat import Chat, TemplateChat, history_of
from lm_eval_tts.models.checkpoint import Checkpoint, arrives, run_seed, thinking_in
from lm_eval_tts.prompts import build_messages, question_turn
from lm_eval_tts.settings import Settings

SWITCHES = ("enable_thinking", "thinking", "reasoning", "reasoning_effort", "thinking_budget")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """A request that was checked and encoded, ready to run."""

    settings: Settings
    request: Request
    seed: int
    prompt: Prompt  # for the record; `request` has its ids
    opening: str  # the opening tag that the chat template has written of the response
    tokenizer: Tokenizer


def make_plan(
    instance: Instance,
    context: str,
    repeat: int,
    settings: Settings,
    chat: Chat,
    checkpoint: Checkpoint,
    max_length: int,
) -> Plan:
    """Return the plan of one answer. Raises whatever a chat template or a tokenizer raises.
    context: the instance's, in its reasoning mode. max_length: the engine's context in tokens."""
    question, marks = question_turn(history_of(context))["content"], settings.delimiters
    rendered = _render(context, settings, chat)
    start = opening_of(marks.thinking_start, marks.thinking_end)
    thinking = thinking_in(rendered, question, replace(marks, thinking_start=start))
    if thinking == "closed" and settings.strategy.needs_thinking_end:
        switches = [n for n in SWITCHES if isinstance(chat, TemplateChat) and chat.reads(n)]
        raise SettingsError(
            f"the chat template has closed the thinking, so strategy {settings.strategy.name!r} "
            "cannot think: switch it on by enable_thinking=True or chat_template_args= "
            f"(the template reads: {', '.join(switches) or 'nothing of the kind'}), "
            "or take strategy=single"
        )
    prompt, opened = chat.encode(rendered), thinking == "opened"
    left = max_length - len(prompt)
    asked = left if settings.max_gen_toks is None else settings.max_gen_toks
    seed = run_seed() if settings.seed is None else settings.seed
    seed = derive_seed(seed, seed_key(instance.doc, str(context)), repeat)
    # A thought that may come first and could not be continued is not stopped by the engine:
    # `Response.answer` is cut then.
    stops = chat.can_continue or not marks.thinking_end.strip()
    request = Request(
        prompt=prompt,
        max_tokens=min(left, asked),
        encode=checkpoint.text.encode,
        decode=checkpoint.text.decode,
        question=question,
        delimiters=marks,
        sampling=settings.sampling,
        until=settings.until if stops else (),
        context_limited=left <= asked,
        thinking_opened=opened,
        seed=derive_seed(seed, "strategy"),
        classify=_classifier(instance, settings, start if opened else ""),
        problem=problem_of(instance.doc, str(context)),
        policy_size=checkpoint.policy_size,
        vocabulary_size=checkpoint.vocabulary_size,
        encode_after=checkpoint.text.encode_after,
    )
    sent = Prompt(str(rendered), len(prompt), digest(repr(prompt)))
    opening = (marks.thinking_start or start) if opened else ""
    return Plan(settings, request, seed, sent, opening, checkpoint.text)


def _render(context: str, settings: Settings, chat: Chat) -> str:
    """Put the prompt style around a context; without one it stays as it is."""
    if settings.style is None:
        return context
    for role in [settings.instruction_role] if settings.instruction_role else ["system", "user"]:
        messages = build_messages(history_of(context), settings.style, settings.instruction, role)
        rendered = chat.render(messages)
        if not isinstance(chat, TemplateChat):
            return rendered
        if arrives(chat, settings.instruction, rendered, bool(settings.instruction_role)):
            return rendered
    raise SettingsError(
        f"the chat template drops or rewrites the instruction {settings.instruction[:60]!r}...: "
        "choose another instruction_role=, prompt_style= or delimiters="
    )


def _classifier(
    instance: Instance, settings: Settings, opening: str
) -> Callable[[Sequence[str]], list[int | None]]:
    """Return what shows a strategy which responses have equal answers.
    It reads the options of a document and not its answer, so that no strategy can get near it.
    opening: what the chat template has written of each response."""
    by_filter = getattr(instance, "classify", None)  # of tasks with a grader of their own
    tags, until = settings.delimiters.tags, settings.until
    if by_filter is not None:
        return lambda texts: by_filter([answer_in(opening + t, tags, until) for t in texts])
    options = instance.doc.get("options") if isinstance(instance.doc, dict) else None
    return lambda texts: response_classes([opening + text for text in texts], options, tags)


def respond(plan: Plan, result: Result[Trace]) -> Response:
    """Return the response of a finished program; one that raised is a failure with its reason."""
    try:
        if isinstance(result.value, RequestError):
            raise result.value
        return _whole(plan, result.value, result.cost)
    except Exception as error:  # what a tokenizer raises on some ids, too
        return failed(plan.settings, str(failure_of("decoding", error)), plan.prompt)


def _whole(plan: Plan, trace: Trace, cost: Cost) -> Response:
    """Return the response with all its points and candidates. Raises RequestError if a reward model
    was to choose, and could rate none of them."""
    candidates = trace.candidates
    rewards = [dict(candidate.scores).get("reward", 0.0) for candidate in candidates]
    if cost.num_unrated and rewards and all(map(math.isnan, rewards)):
        raise RequestError(
            f"none of {len(rewards)} responses could be rated, so none was chosen: {cost.unrated}"
        )
    tree = next((c.trace.tree for c in candidates if c.trace.tree), ())
    return _response(
        plan,
        trace,
        cost,
        prompt=plan.prompt,
        pieces=_pieces(plan, trace),
        points={label: _response(plan, point) for label, point in trace.points},
        candidates=tuple(
            _response(plan, c.trace, scores=dict(c.scores), last_step=c.last_step)
            for c in candidates
        ),
        tree=tuple((p, text, None if math.isnan(score) else score) for p, text, score in tree),
        independent=bool(candidates) and plan.settings.strategy.num_samples > 0,
    )


def _pieces(plan: Plan, trace: Trace) -> tuple[tuple[str, int], ...]:
    """Return what the text of a response consists of, as `Details` has it."""
    kinds = [
        segment.phase if not segment.forced else "wait" if segment.phase == "thinking" else "forced"
        for segment in trace.segments
    ]
    ends = accumulate(len(segment.token_ids) for segment in trace.segments)
    ids, opened = trace.response_ids, len(plan.opening)
    places = [0, *(opened + len(plan.tokenizer.decode(ids[:end])) for end in ends)]
    return tuple((kind, b - a) for kind, (a, b) in zip(kinds, pairwise(places), strict=True))


def failed(settings: Settings, reason: str, prompt: Prompt | None = None) -> Response:
    """Return an empty response with the points and candidates of a whole one.
    So its metrics have the names of the others'. prompt: what was sent, if it came to that."""
    logger.warning("a request could not be served: %s", reason)
    strategy = settings.strategy
    nothing = Details(tags=settings.delimiters.tags, failure=reason)
    scores = dict.fromkeys(strategy.score_names, math.nan)
    candidate = Response("", replace(nothing, scores=scores))
    details = replace(
        nothing,
        points={label: Response("", nothing) for label in strategy.point_labels},
        candidates=(candidate,) * (strategy.num_samples or bool(strategy.score_names)),
        independent=strategy.num_samples > 0,
        prompt=prompt,
    )
    return Response("", details)


def in_all_modes(modes: Collection[str], made: Iterator[Response]) -> Response:
    """Return the response of the last mode, with those of all as its points, and the cost of all.
    modes: labels. made: gives a response for each mode, or one if there are none."""
    found = list(islice(made, max(1, len(modes))))
    if len(found) == 1:
        return found[0]
    points: dict[str, Response] = {}
    for label, response in zip(modes, found, strict=True):
        points |= {f"{label}-{name}": p for name, p in response.details.points.items()}
        points[label] = response
    failure = next((r.details.failure for r in found if r.details.failure), None)
    usages = [r.details.usage or Usage() for r in found]
    usage = replace(
        usages[-1],
        sampled=sum(usage.sampled for usage in usages),
        engine_calls=sum(usage.engine_calls for usage in usages),
    )
    details = replace(found[-1].details, usage=usage, points=points, failure=failure)
    return Response(str(found[-1]), details)


def _response(plan: Plan, trace: Trace, cost: Cost | None = None, **details: Any) -> Response:
    """Return a trace's text; a tag that the template opened is shown as part of it.
    cost: of the whole program; what only this trace took, for a part of it. details: fields of
    `Details`."""
    text = plan.tokenizer.decode(trace.response_ids)
    thinking, answer = _phases(plan, trace, text)
    cost = cost or Cost(num_sampled_tokens=trace.num_tokens(forced=False))
    usage = Usage(
        thinking=thinking,
        answer=answer,
        forced=trace.num_tokens(forced=True),
        total=trace.num_tokens(),
        sampled=cost.num_sampled_tokens,
        engine_calls=cost.num_engine_calls,
        scorer_calls=cost.num_scores,
        scorer_tokens=cost.num_scorer_tokens,
        scorer_unrated=cost.num_unrated,
        waits=trace.num_waits,
        tries=trace.tries,
        truncated=trace.truncated("answer"),
        thinking_truncated=trace.truncated("thinking"),
        out_of_context=trace.out_of_context,
    )
    settings = plan.settings
    details = {"tags": settings.delimiters.tags, "until": settings.until, **details}
    return Response(plan.opening + text, Details(usage, **details))


def _phases(plan: Plan, trace: Trace, text: str) -> tuple[int, int]:
    """Count thinking and answer tokens; where nothing was forced, the text's tags decide, or what a
    server reports of its reasoning."""
    if thought := sum(s.counts.thinking for s in trace.segments if s.counts):
        return thought, trace.num_tokens() - thought
    if trace.num_tokens("thinking") or trace.num_tokens(forced=True):
        return trace.num_tokens("thinking"), trace.num_tokens("answer")
    marks, ids = plan.settings.delimiters, trace.response_ids
    start, end = marks.thinking_start.strip(), marks.thinking_end.strip()
    opens = 0 if plan.opening else text.find(start) if start else -1
    closes = text.rfind(end) if end else -1  # the last one, as the answer is read after it
    if opens < 0 and closes < 0:
        return 0, len(ids)
    before = 0 if plan.opening or opens < 0 else opens + len(start)
    until = closes if closes >= 0 else len(text)
    places = before, until, min(until + len(end), len(text))
    first, last, rest = (num_tokens_within(ids, text, n, plan.tokenizer) for n in places)
    return last - first, len(ids) - rest
