"""What a program returned, as the response that lm_eval sees and logs."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import accumulate, islice, pairwise
from typing import Any

from lm_eval_tts.core.digests import digest
from lm_eval_tts.core.faults import failure_of
from lm_eval_tts.core.scheduler import Cost, Result
from lm_eval_tts.core.trace import Trace
from lm_eval_tts.engines.stopping import num_tokens_within
from lm_eval_tts.engines.tokenizer import Tokenizer
from lm_eval_tts.errors import RequestError
from lm_eval_tts.harness.response import Details, Prompt, Response, Usage
from lm_eval_tts.models.plans import Plan
from lm_eval_tts.settings import Settings

logger = logging.getLogger(__name__)


def respond(plan: Plan, result: Result[Trace], tokenizer: Tokenizer) -> Response:
    """Return the response of a finished program; one that raised is a failure with its reason."""
    try:
        if isinstance(result.value, RequestError):
            raise result.value
        _check_rated(result.value, result.cost)
        return _whole(plan, result.value, result.cost, tokenizer)
    except Exception as error:  # what a tokenizer raises on some ids, too
        return failed(plan.settings, str(failure_of("decoding", error)), prompt_of(plan))


def _check_rated(trace: Trace, cost: Cost) -> None:
    """Raise RequestError if a reward model was to choose, and could rate none of the candidates."""
    rewards = [dict(candidate.scores).get("reward", 0.0) for candidate in trace.candidates]
    if cost.num_unrated and rewards and all(map(math.isnan, rewards)):
        raise RequestError(
            f"none of {len(rewards)} responses could be rated, so none was chosen: {cost.unrated}"
        )


def _whole(plan: Plan, trace: Trace, cost: Cost, tokenizer: Tokenizer) -> Response:
    """Return the response with all its points and candidates."""
    return _response(
        plan,
        trace,
        tokenizer,
        cost=cost,
        prompt=prompt_of(plan),
        pieces=_pieces(plan, trace, tokenizer),
        points={label: _response(plan, point, tokenizer) for label, point in trace.points},
        candidates=tuple(
            _response(plan, c.trace, tokenizer, scores=dict(c.scores), last_step=c.last_step)
            for c in trace.candidates
        ),
        tree=next((_tree(c.trace) for c in trace.candidates if c.trace.tree), ()),
        independent=bool(trace.candidates) and plan.settings.strategy.num_samples > 0,
    )


def _tree(trace: Trace) -> tuple[tuple[int, str, float | None], ...]:
    return tuple((p, text, None if math.isnan(score) else score) for p, text, score in trace.tree)


def _pieces(plan: Plan, trace: Trace, tokenizer: Tokenizer) -> tuple[tuple[str, int], ...]:
    """Return what the text of a response consists of, as `Details` has it."""
    kinds = [
        segment.phase if not segment.forced else "wait" if segment.phase == "thinking" else "forced"
        for segment in trace.segments
    ]
    ends = accumulate(len(segment.token_ids) for segment in trace.segments)
    ids, opened = trace.response_ids, len(plan.opening)
    places = [0, *(opened + len(tokenizer.decode(ids[:end])) for end in ends)]
    return tuple((kind, b - a) for kind, (a, b) in zip(kinds, pairwise(places), strict=True))


def failed(settings: Settings, reason: str, prompt: Prompt | None = None) -> Response:
    """Return an empty response with the points and candidates of a whole one.

    So its metrics have the names of the others'. prompt: what was sent, if it came to that.
    """
    logger.warning("a request could not be served: %s", reason)
    strategy, tags = settings.strategy, settings.delimiters.tags
    scores = dict.fromkeys(strategy.score_names, math.nan)
    candidate = Response("", Details(tags=tags, failure=reason, scores=scores))
    details = Details(
        tags=tags,
        failure=reason,
        points={
            label: Response("", Details(tags=tags, failure=reason))
            for label in strategy.point_labels
        },
        candidates=(candidate,) * (strategy.num_samples or bool(strategy.score_names)),
        independent=strategy.num_samples > 0,
        prompt=prompt,
    )
    return Response("", details)


def prompt_of(plan: Plan) -> Prompt:
    """Return what was sent, for the record."""
    ids = plan.request.prompt
    return Prompt(plan.prompt, len(ids), digest(repr(ids)))


def in_all_modes(modes: Collection[str], made: Iterator[Response]) -> Response:
    """Return the response of the last mode, with those of all as its points, and the cost of all.

    modes: labels. made: gives a response for each mode, or one if there are none.
    """
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


def as_padding(response: Response) -> Response:
    """Return a copy that is marked as evening out the work of several ranks."""
    return Response(str(response), replace(response.details, padding=True))


def _response(
    plan: Plan, trace: Trace, tokenizer: Tokenizer, cost: Cost | None = None, **details: Any
) -> Response:
    """Return a trace's text; a tag that the template opened is shown as part of it.

    cost: of the whole program; what only this trace took, for a part of it. details: fields of
    `Details`.
    """
    text = tokenizer.decode(trace.response_ids)
    thinking, answer = _phases(plan, trace, text, tokenizer)
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
    return Response(
        plan.opening + text,
        Details(usage, plan.settings.delimiters.tags, plan.settings.until, **details),
    )


def _phases(plan: Plan, trace: Trace, text: str, tokenizer: Tokenizer) -> tuple[int, int]:
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
    first = num_tokens_within(ids, text, before, tokenizer)
    last = num_tokens_within(ids, text, until, tokenizer)
    after = num_tokens_within(ids, text, min(until + len(end), len(text)), tokenizer)
    return last - first, len(ids) - after
