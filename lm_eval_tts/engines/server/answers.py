"""The answers of servers, whole or in pieces of a stream: text, reasoning, counts, and faults."""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from lm_eval_tts.core.faults import MALFORMED
from lm_eval_tts.core.program import Generate, SampledCounts, TokenLogprob

# How servers name the end of an answer, and whether it is the model's own end of turn.
FINISHES = {
    **dict.fromkeys(("stop", "eos", "eos_token", "stop_sequence", "end_turn"), True),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens"), False),
}
# How they name an answer that another try would not mend.
WITHHELD = ("content_filter", "tool_calls", "function_call", "refusal")
REASONING = ("reasoning_content", "reasoning", "thinking")  # vLLM and SGLang, OpenRouter, Ollama
# A message of gpt-oss in what a server has not parsed: its channel, its text (OpenAI's harmony).
CHANNEL = re.compile(
    r"<\|channel\|>(\w+)[^<]*<\|message\|>(.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)", re.S
)
BARE_CHANNELS = re.compile(r"analysis(.*?)assistantfinal(.*)", re.S)  # without special tokens


class Piece(NamedTuple):
    """What an event of a stream brings."""

    reasoning: str = ""
    text: str = ""
    finish_reason: str | None = None


def read_event(event: Mapping[str, Any]) -> Piece:
    """Return the piece of one event; those that only count tokens bring none. Raises Fault for an
    error that a server reports after it has begun to answer, and for what cannot be read."""
    check_error(event)
    try:
        choice = (event.get("choices") or [{}])[0]
        said = choice.get("delta") or choice.get("message") or {}
        reasoning = next((said[name] for name in REASONING if isinstance(said.get(name), str)), "")
        content = choice.get("text") or said.get("content") or ""
        parts: list[Any] = content if isinstance(content, list) else [content]
        parts = [{"type": "text", "text": p} if isinstance(p, str) else p for p in parts]
        return Piece(
            reasoning + "".join(_thinking_of(part) for part in parts),
            "".join(_text(p) for p in parts if "text" in p.get("type", "text")),
            choice.get("finish_reason"),
        )
    except MALFORMED as error:
        raise Fault(f"an event that cannot be read: {error!r}") from None


def check_error(answer: Mapping[str, Any]) -> None:
    """Raise Fault for an error that comes as an answer, with its words."""
    is_error = "error" in (answer.get("object"), answer.get("type"))
    if error := answer.get("error") or (is_error and answer) or answer.get("detail"):
        message = error.get("message", error) if isinstance(error, Mapping) else error
        raise Fault(f"the server reports an error: {message}")


def _thinking_of(part: Mapping[str, Any]) -> str:
    """Return the text of a content part that is reasoning (Mistral nests parts in it)."""
    if part.get("type") not in ("thinking", "reasoning"):
        return ""
    inner = part.get("thinking") or part.get("text") or ""
    items = inner if isinstance(inner, list) else [{"text": inner}]
    return "".join(map(_text, items))


def _text(part: Mapping[str, Any]) -> str:
    if not isinstance(text := part.get("text") or "", str):
        raise ValueError(f"{text!r} is not text")
    return text


def split_channels(text: str) -> tuple[str, str]:
    """Return reasoning and answer of what gpt-oss has written; all is answer if it has none."""
    if bare := BARE_CHANNELS.fullmatch(text):
        return bare[1], bare[2]
    messages = CHANNEL.findall(text)
    if not messages:
        return "", text
    thought = "".join(said for channel, said in messages if channel != "final")
    return thought, "".join(said for channel, said in messages if channel == "final")


class Fault(Exception):
    """What another try may fix. wait: seconds that the server asks to wait."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


def joined(text: str) -> str:
    """Return a text whose surrogate pairs, cut in two by a stream, are the characters they stand
    for; a half on its own is U+FFFD, as tokenizers cannot take it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def counts_of(usage: Any) -> SampledCounts | None:
    """Return the tokens that a server says it has sampled, None where it says nothing. Raises one
    of MALFORMED for what is not a count."""
    usage = usage or {}
    details = usage.get("completion_tokens_details") or {}
    thinking = whole_number(details.get("reasoning_tokens") or usage.get("reasoning_tokens") or 0)
    total = whole_number(usage.get("completion_tokens") or 0)
    total += thinking if thinking > total else 0  # some count the answer alone
    return SampledCounts(thinking, total) if total else None


def cached_tokens(usage: Any) -> int:
    """Return the prompt tokens that a server says it had cached. Raises one of MALFORMED for what
    is not a count."""
    details = (usage or {}).get("prompt_tokens_details") or {}
    cached = whole_number(details.get("cached_tokens") or 0)
    if cached > (usage or {}).get("prompt_tokens", cached):
        raise ValueError(f"{cached} cached tokens of {usage['prompt_tokens']}")
    return cached


def whole_number(value: Any) -> int:
    """Return a whole number, >= 0. Raises ValueError for anything else, texts included."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a whole number")
    return value


def logprobs_of(choice: Mapping[str, Any], op: Generate) -> tuple[TokenLogprob, ...]:
    """Return what was requested for each sampled token. Raises one of MALFORMED without it."""
    if op.logprobs is None:
        return ()
    logprobs = choice["logprobs"]
    tops = logprobs.get("top_logprobs") or [{}] * len(logprobs["token_logprobs"])
    likeliest = (sorted(map(_logprob, (top or {}).values()), reverse=True) for top in tops)
    return tuple(
        TokenLogprob(_logprob(own), tuple(top[: op.logprobs]))
        for own, top in zip(logprobs["token_logprobs"], likeliest, strict=True)
    )


def _logprob(value: Any) -> float:
    """Return a log-probability. Raises ValueError for what cannot be one; rounding may be in it."""
    if isinstance(value, bool) or not -math.inf < value < 1e-3:
        raise ValueError(f"{value!r} is not a log-probability")
    return float(value)
