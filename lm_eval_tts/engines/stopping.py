"""The one rule for stop strings, the same for every engine.

A stop string is searched in the text of what was sampled, so it may span tokens and may begin or
end inside one. The completion is cut exactly before it: whole tokens are kept as sampled, and only
the remainder of a token that runs into the stop string is encoded anew."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from lm_eval_tts.core.program import Completion, TokenIds
from lm_eval_tts.engines.tokenizer import Tokenizer


class StopMatch(NamedTuple):
    """The first stop string in a text: where it begins, and which it is."""

    start: int
    stop: str


def find_stop(text: str, stops: Sequence[str]) -> StopMatch | None:
    """Return the earliest stop string in `text`; of those that begin together, the longest."""
    matches = [StopMatch(start, s) for s in stops if s and (start := text.find(s)) >= 0]
    return min(matches, key=lambda m: (m.start, -len(m.stop)), default=None)


def num_tokens_within(token_ids: Sequence[int], text: str, end: int, tokenizer: Tokenizer) -> int:
    """Return how many leading tokens have a text that lies wholly within `text[:end]`.
    text: the decoded `token_ids`. Decoded length never shrinks as tokens are added, except where a
    character is incomplete, so a bisection is settled by a short walk to the left."""
    counts = range(1, len(token_ids) + 1)
    count = bisect_right(counts, end, key=lambda n: len(tokenizer.decode(token_ids[:n])))
    while count and not text.startswith(tokenizer.decode(token_ids[:count])):
        count -= 1
    return count


def cut_before(token_ids: Sequence[int], text: str, end: int, tokenizer: Tokenizer) -> TokenIds:
    """Return ids whose text is exactly `text[:end]`, keeping whole tokens as they are."""
    kept = tuple(token_ids[: num_tokens_within(token_ids, text, end, tokenizer)])
    rest = text[len(tokenizer.decode(kept)) : end]
    return kept + tokenizer.encode(rest) if rest else kept


def window(stops: Sequence[str]) -> int:
    """Return how many last tokens to decode to see whether the newest one completed a stop. A token
    carries at least one byte, and a character that began further left at most four."""
    return max((len(s.encode()) for s in stops), default=0) + 4


def ends_with_stop(token_ids: Sequence[int], stops: Sequence[str], tokenizer: Tokenizer) -> bool:
    """Whether a stop string may have been completed by the newest of `token_ids`."""
    if not stops:
        return False
    tail = tokenizer.decode(token_ids[-window(stops) :])
    return any(stop and stop in tail for stop in stops)


def up_to_ending(
    token_ids: Sequence[int],
    stops: Sequence[str],
    eos_token_ids: frozenset[int],
    tokenizer: Tokenizer,
) -> Sequence[int]:
    """Return the ids up to the first that ends the turn or completes a stop string. Engines that
    look at the text later than at the tokens may sample some more."""
    ends = (place for place, token in enumerate(token_ids) if token in eos_token_ids)
    body = token_ids[: next(ends, len(token_ids))]
    text = tokenizer.decode(body) if stops else ""
    completed = [(text.find(stop) + len(stop), stop) for stop in stops if stop and stop in text]
    if not completed:
        return token_ids[: len(body) + 1]
    end, stop = min(completed)
    count = num_tokens_within(body, text, end, tokenizer)
    while stop not in tokenizer.decode(body[:count]):
        count += 1
    return body[:count]


def complete(
    sampled_ids: TokenIds,
    stops: Sequence[str],
    eos_token_ids: frozenset[int],
    tokenizer: Tokenizer,
) -> Completion:
    """Make the completion of what was sampled, ending included. A stop string wins over an end of
    turn after it. Tokens sampled after the one that completed the stop string are not part of the
    completion and must not be passed in."""
    ended = bool(sampled_ids) and sampled_ids[-1] in eos_token_ids
    body = sampled_ids[:-1] if ended else sampled_ids
    text = tokenizer.decode(body) if stops else ""
    if match := find_stop(text, stops):
        kept = cut_before(body, text, match.start, tokenizer)
        return Completion(kept, sampled_ids, "stop", match.stop)
    return Completion(body, sampled_ids, "eos" if ended else "length")
