"""Calls to an OpenAI-compatible server and its answers, as JSON; no network here.

How exact a server is depends on what it takes and returns (`Dialect`):

    tokens  takes token ids and returns token ids (vLLM): the same as an engine in this process
    ids     takes token ids and returns text; its ids are what our tokenizer makes of the text
    text    takes text and returns text
    chat    takes messages only: a response cannot be continued

"strict" ones take no settings beyond OpenAI's own."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lm_eval_tts.core.faults import MALFORMED
from lm_eval_tts.core.program import Generate, TokenIds, TokenLogprob
from lm_eval_tts.engines.requests import MAX_SEED, BatchRow, SampledTokens
from lm_eval_tts.engines.tokenizer import Tokenizer
from lm_eval_tts.errors import RequestError


class Dialect(NamedTuple):
    """What a server understands."""

    path: str  # below the base URL
    prompt: str  # "ids", "text" or "messages"
    extras: bool  # it takes settings beyond OpenAI's own
    returns_ids: bool = False


TOKENS = Dialect("/completions", "ids", extras=True, returns_ids=True)
IDS = Dialect("/completions", "ids", extras=True)
TEXT = Dialect("/completions", "text", extras=True)
STRICT = Dialect("/completions", "text", extras=False)
CHAT = Dialect("/chat/completions", "messages", extras=True)
STRICT_CHAT = Dialect("/chat/completions", "messages", extras=False)
DIALECTS = (TOKENS, TEXT, STRICT, CHAT, STRICT_CHAT)  # to be asked for, the best first

# How servers name the end of an answer, and whether it is the model's own end of turn.
FINISHES = {"stop": True, "eos": True, "eos_token": True, "stop_sequence": True, "length": False}
THINK_TAGS = ("<think>\n", "\n</think>\n\n")  # around what a server returns as reasoning
REASONING = ("reasoning_content", "reasoning", "thinking")  # vLLM and SGLang, OpenRouter, Ollama


class Piece(NamedTuple):
    """What an event of a stream brings."""

    reasoning: str = ""
    text: str = ""
    finish_reason: str | None = None


def read_event(event: Mapping[str, Any]) -> Piece:
    """Return the piece of one event; those that only count tokens bring none. Raises Fault for an
    error that a server reports after it has begun to answer, one of MALFORMED for what is none."""
    if error := event.get("error"):
        message = error.get("message", error) if isinstance(error, Mapping) else error
        raise Fault(f"the server reports an error in its stream: {message}")
    choice = (event.get("choices") or [{}])[0]
    said = choice.get("delta") or choice.get("message") or {}
    reasoning = next((said[name] for name in REASONING if isinstance(said.get(name), str)), "")
    content = choice.get("text") or said.get("content") or ""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    return Piece(
        reasoning + "".join(_thinking_of(part) for part in parts),
        "".join(_text(part) for part in parts if part.get("type") == "text"),
        choice.get("finish_reason"),
    )


def _text(part: Mapping[str, Any]) -> str:
    if not isinstance(text := part.get("text") or "", str):
        raise ValueError(f"{text!r} is no text")
    return text


def _thinking_of(part: Mapping[str, Any]) -> str:
    """Return the text of a content part that is reasoning (Mistral nests parts in it)."""
    if part.get("type") not in ("thinking", "reasoning"):
        return ""
    inner = part.get("thinking") or part.get("text") or ""
    items = inner if isinstance(inner, list) else [{"text": inner}]
    return "".join(map(_text, items))


class Fault(Exception):
    """What another try may mend. wait: seconds that the server asks to wait."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(slots=True)
class Wire:
    """Writes calls and reads answers."""

    model: str  # as the server names it
    tokenizer: Tokenizer
    eos_token_ids: frozenset[int]
    dialect: Dialect = TOKENS
    bos: str = ""  # what a server that takes text puts in front of it itself
    vocabulary_size: int | None = None  # ids are below it; None: nobody knows
    thinking: tuple[str, str] = THINK_TAGS  # what is written around reasoning
    template_args: Mapping[str, Any] = field(default_factory=dict)  # of a server's chat template

    def payload(self, row: BatchRow) -> dict[str, Any]:
        """Return a call's body. All settings are said, for servers have defaults of their own."""
        op, sampling = row.op, row.op.sampling
        body = {
            "model": self.model,
            **self._prompt(op.token_ids),
            "max_tokens": row.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": row.seed & MAX_SEED,
        }
        added = ("frequency_penalty", "presence_penalty")
        body |= {name: value for name in added if (value := getattr(sampling, name))}
        if self.dialect.extras:
            body |= {
                "top_k": sampling.top_k or -1,
                "min_p": sampling.min_p,
                "repetition_penalty": sampling.repetition_penalty,
                "skip_special_tokens": False,
                "spaces_between_special_tokens": False,
                "stop_token_ids": sorted(self.eos_token_ids),
            }
        elif sampling.top_k or sampling.min_p or sampling.repetition_penalty != 1:
            ours = "top_k, min_p or repetition_penalty"
            raise RequestError(f"this server takes no {ours}: leave them out")
        if self.dialect.prompt == "messages":
            body |= self._chat_arguments()
        if op.min_tokens:
            ends = (token for stop in op.stop for token in self.tokenizer.encode(stop))
            body["logit_bias"] = {str(token): -100 for token in (*self.eos_token_ids, *ends)}
        if self.dialect.returns_ids:
            stops = [stop for stop in op.stop if stop and not op.min_tokens]
            body |= {"stop": stops, "return_token_ids": True}
            if op.logprobs is not None:
                body |= {"logprobs": op.logprobs, "return_tokens_as_token_ids": True}
        return body

    def _chat_arguments(self) -> dict[str, Any]:
        """Return the template's arguments in a server's words. Raises RequestError without them."""
        rest = dict(self.template_args)
        effort = {name: rest.pop(name) for name in ("reasoning_effort",) if name in rest}
        if rest and not self.dialect.extras:
            names = ", ".join(sorted(rest))
            raise RequestError(f"this server takes no chat_template_args: {names}")
        return effort | ({"chat_template_kwargs": rest} if rest else {})

    def _prompt(self, token_ids: TokenIds) -> dict[str, Any]:
        if self.dialect.prompt == "ids":
            return {"prompt": list(token_ids)}
        text = self.tokenizer.decode(token_ids)
        if self.dialect.prompt == "text":
            return {"prompt": text.removeprefix(self.bos)}
        try:
            return {"messages": json.loads(text)}
        except ValueError:
            raise RequestError(
                "this server has chat completions only, which cannot continue a response"
            ) from None

    def read(self, answer: Any, row: BatchRow) -> SampledTokens:
        """Return the sampled ids of an answer. Raises Fault if it contradicts itself."""
        try:
            choice = answer["choices"][0]
            ids = tuple(map(_whole, choice["token_ids"]))
            usage = answer["usage"]
            sent, counted = _whole(usage["prompt_tokens"]), _whole(usage["completion_tokens"])
            cached_tokens(usage)
            logprobs = _logprobs(choice, row.op)
        except MALFORMED as error:
            raise Fault(f"an answer that cannot be read: {error!r}") from None
        if ids and self.vocabulary_size and max(ids) >= self.vocabulary_size:
            raise Fault(f"token {max(ids)} of a vocabulary of {self.vocabulary_size}")
        if choice.get("finish_reason") not in ("stop", "length"):
            raise Fault(f"the server ended with {choice.get('finish_reason')!r}")
        counts = {counted, len(ids), *([len(logprobs)] if logprobs else [])}
        if len(counts) > 1 or sent != len(row.op.token_ids) or not 0 < counted <= row.max_tokens:
            raise Fault(
                f"impossible counts: {counted} tokens reported, {len(ids)} sent, "
                f"{row.max_tokens} asked for, {sent} of {len(row.op.token_ids)} read"
            )
        stopped, by = choice["finish_reason"] == "stop", choice.get("stop_reason")
        if stopped and not isinstance(by, str) and ids[-1] not in self.eos_token_ids:
            # An end of turn that only the server knew is replaced by one of ours.
            ids = (*ids[:-1], min(self.eos_token_ids))
        return SampledTokens(ids, logprobs)

    def of_text(self, text: str, ended: bool, reasoning: str = "") -> SampledTokens:
        """Return the ids of a text, with an end of turn if it has `ended` with one.
        reasoning: what came before it, which is put between `thinking`; where no text came, it was
        cut and is left open."""
        start, end = self.thinking if reasoning else ("", "")
        reasoning, text = _joined(reasoning), _joined(text)
        before = self.tokenizer.encode(start + reasoning + (end if text or ended else ""))
        eos = (min(self.eos_token_ids),) if ended else ()
        ids = (*before, *self.tokenizer.encode(text), *eos)
        return SampledTokens(ids, num_thinking=len(before))


def _joined(text: str) -> str:
    """Return a text whose surrogate pairs, cut in two by a stream, are the characters they stand
    for; a half that is alone is U+FFFD, as tokenizers cannot take it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def cached_tokens(usage: Any) -> int:
    """Return the prompt tokens that a server says it had cached. Raises one of MALFORMED for what
    is no number of them."""
    details = (usage or {}).get("prompt_tokens_details") or {}
    cached = _whole(details.get("cached_tokens") or 0)
    if cached > (usage or {}).get("prompt_tokens", cached):
        raise ValueError(f"{cached} cached tokens of {usage['prompt_tokens']}")
    return cached


def _whole(value: Any) -> int:
    """Return a whole number, >= 0. Raises ValueError for anything else, texts included."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no whole number")
    return value


def _logprobs(choice: Mapping[str, Any], op: Generate) -> tuple[TokenLogprob, ...]:
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
        raise ValueError(f"{value!r} is no log-probability")
    return float(value)
