"""Calls to an OpenAI-compatible server and its answers, whole or streamed, as JSON; no network."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from lm_eval_tts.core.program import Generate, SampledCounts, Sampling, TokenIds, TokenLogprob
from lm_eval_tts.engines.requests import BatchRow, SampledTokens
from lm_eval_tts.engines.server.dialects import OFF, TOKENS, Dialect
from lm_eval_tts.engines.tokenizer import Tokenizer
from lm_eval_tts.errors import MALFORMED, RequestError

# OpenAI's own settings that some models do not have, as their refusals tell.
LACKING = ("max_tokens", "temperature", "top_p", "seed")
REFUSAL = re.compile(r"support|recogni|permit|allow|forbid|unknown|extra|deprecat|invalid", re.I)
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


@dataclass(slots=True)
class Wire:
    """Writes calls and reads answers."""

    model: str  # as the server names it
    tokenizer: Tokenizer
    eos_token_ids: frozenset[int]
    dialect: Dialect = TOKENS
    bos: str = ""  # what a server that takes text puts in front of it itself
    vocabulary_size: int | None = None  # ids are below it; None: nobody knows
    # What is written around what a server returns as reasoning.
    thinking: tuple[str, str] = ("<think>\n", "\n</think>\n\n")
    template_args: Mapping[str, Any] = field(default_factory=dict)  # of a server's chat template
    max_length: int = 4096  # the context in tokens, for servers that have to be told
    lacking: frozenset[str] = frozenset()  # settings of its dialect that the model does not take

    def payload(self, row: BatchRow) -> dict[str, Any]:
        """Return a call's body. Raises RequestError for what the server does not take."""
        op, way = row.op, self.dialect
        settings = self.sampling(op.sampling) | self._said("max_tokens", row.max_tokens)
        if "seed" not in self.lacking:
            settings |= self._said("seed", row.seed & ((1 << way.seed_bits) - 1))
        settings |= dict.fromkeys(way.context, self.max_length)
        if way.stop_ids:
            settings[way.stop_ids] = sorted(self.eos_token_ids)
        if op.min_tokens:
            ends = (token for stop in op.stop for token in self.tokenizer.encode(stop))
            never = {str(token): -100 for token in (*self.eos_token_ids, *ends)}
            settings |= self._said("logit_bias", never)
        body = {"model": self.model, **self._prompt(op.token_ids), **way.also}
        if way.logprobs is not None:
            settings["stop"] = [stop for stop in op.stop if stop and not op.min_tokens]
            if op.logprobs is not None:
                # llama.cpp tells nothing where it is asked for none.
                count = max(1, op.logprobs) if way.native else op.logprobs
                body |= {key: count if v == "count" else v for key, v in way.logprobs.items()}
        if way.prompt == "messages":
            body |= self._chat_arguments()
        return body | ({way.under: settings} if way.under else settings)

    def sampling(self, sampling: Sampling) -> dict[str, Any]:
        """Return sampling in the server's terms. Everything is sent, because servers have their own
        defaults, except settings that are off and refused. Raises RequestError for what is in force
        and cannot be sent."""
        said: dict[str, Any] = {}
        way = self.dialect
        for name, value in asdict(sampling).items():
            lacks = name in self.lacking
            if value != OFF[name] and lacks:
                hint = ": set temperature=1,do_sample=true" if name == "temperature" else ""
                raise RequestError(f"this server's model takes no {name}={value:g}{hint}")
            if value != OFF[name]:
                said |= self._said(name, value)
            elif not (lacks or name in way.unsaid or way.settings.get(name) is None):
                said |= self._said(name, way.switched_off.get(name, value))
        return said

    def _said(self, name: str, value: Any) -> dict[str, Any]:
        """Return one setting in the server's terms. Raises RequestError if it has none for it."""
        theirs = self.dialect.settings.get(name)
        if theirs is None:
            raise RequestError(f"this server takes no {name}: leave it out")
        return {theirs: value}

    def learn(self, refusal: str) -> bool:
        """Note which of OpenAI's own settings a refusal names, and whether any is new: models
        that reason take no temperature, and have another name for their limit."""
        told = refusal if REFUSAL.search(refusal) else ""
        named = {name for name in LACKING if re.search(rf"\b{name}\b", told)} - self.lacking
        renamed = "max_tokens" in named and "max_completion_tokens" in told
        named -= {"max_tokens"}
        if renamed:
            names = {**self.dialect.settings, "max_tokens": "max_completion_tokens"}
            self.dialect = self.dialect._replace(settings=names)
        if len(named) < len(LACKING) - 1:  # all of them: it repeats what we have said
            self.lacking |= named
        return renamed or bool(named & self.lacking)

    def _chat_arguments(self) -> dict[str, Any]:
        """Return the template's arguments in a server's terms. Raises RequestError without them."""
        rest, way = dict(self.template_args), self.dialect
        said = {}
        if way.effort and "reasoning_effort" in rest:
            said[way.effort] = rest.pop("reasoning_effort")
        if rest and not way.template:
            names = ", ".join(sorted(rest))
            raise RequestError(f"this server takes no chat_template_args: {names}")
        return said | ({way.template: rest} if rest else {})

    def _prompt(self, token_ids: TokenIds) -> dict[str, Any]:
        way = self.dialect
        if way.prompt == "ids":
            return {way.prompt_name: list(token_ids)}
        text = self.tokenizer.decode(token_ids)
        if way.prompt == "text":
            return {way.prompt_name: text.removeprefix(self.bos)}
        try:
            return {"messages": json.loads(text)}
        except ValueError:
            reason = "this server has chat completions only, which cannot continue a response"
            raise RequestError(reason) from None

    def read(self, answer: Any, row: BatchRow) -> SampledTokens:
        """Return the sampled ids of an answer. Raises Fault if it contradicts itself."""
        try:
            choice = answer["choices"][0]
            ids = tuple(map(whole_number, choice["token_ids"]))
            usage = answer["usage"]
            counts = usage["prompt_tokens"], usage["completion_tokens"], cached_tokens(usage)
            sent, counted, _ = map(whole_number, counts)
            logprobs = logprobs_of(choice, row.op)
        except MALFORMED as error:
            raise Fault(f"an answer that cannot be read: {error!r}") from None
        if ids and self.vocabulary_size and max(ids) >= self.vocabulary_size:
            raise Fault(f"token {max(ids)} of a vocabulary of {self.vocabulary_size}")
        if (reason := choice.get("finish_reason")) not in ("stop", "length"):
            raise Fault(f"the server ended with {reason!r}")
        lengths = {counted, len(ids), *([len(logprobs)] if logprobs else [])}
        if len(lengths) > 1 or sent != len(row.op.token_ids) or not 0 < counted <= row.max_tokens:
            raise Fault(
                f"impossible counts: {counted} tokens reported, {len(ids)} sent, "
                f"{row.max_tokens} asked for, {sent} of {len(row.op.token_ids)} read"
            )
        turn_ended = reason == "stop" and not isinstance(choice.get("stop_reason"), str)
        if turn_ended and ids[-1] not in self.eos_token_ids:
            # An end of turn that only the server knew is replaced by one of ours.
            ids = (*ids[:-1], min(self.eos_token_ids))
        return SampledTokens(ids, logprobs)

    def of_text(
        self, text: str, ended: bool, reasoning: str = "", counts: SampledCounts | None = None
    ) -> SampledTokens:
        """Return the ids of a text, with an end of turn if it has `ended` with one.
        reasoning: what came before it, which is put between `thinking`; where no text came, it was
        cut and is left open. counts: as the server reports them; its reasoning may be hidden."""
        reasoning, text = joined(reasoning), joined(text)
        if self.dialect.prompt == "messages" and not reasoning:
            reasoning, text = split_channels(text)
        has_thought = reasoning or (counts and counts.thinking)
        start, end = self.thinking if has_thought else ("", "")
        before = self.tokenizer.encode(start + reasoning + (end if text or ended else ""))
        eos = (min(self.eos_token_ids),) if ended else ()
        ids = (*before, *self.tokenizer.encode(text), *eos)
        return SampledTokens(ids, num_thinking=len(before), counts=counts)


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
    return "".join(map(_text, inner if isinstance(inner, list) else [{"text": inner}]))


def _text(part: Mapping[str, Any]) -> str:
    if not isinstance(text := part.get("text") or "", str):
        raise ValueError(f"{text!r} is not text")
    return text


def split_channels(text: str) -> tuple[str, str]:
    """Return reasoning and answer of what gpt-oss has written; all is answer if it has none."""
    if bare := BARE_CHANNELS.fullmatch(text):
        return bare[1], bare[2]
    if not (messages := CHANNEL.findall(text)):
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
    """Return the tokens that a server says it has sampled, if any. Raises one of MALFORMED."""
    usage = usage or {}
    details = usage.get("completion_tokens_details") or {}
    thinking = whole_number(details.get("reasoning_tokens") or usage.get("reasoning_tokens") or 0)
    total = whole_number(usage.get("completion_tokens") or 0)
    total += thinking if thinking > total else 0  # some count the answer alone
    return SampledCounts(thinking, total) if total else None


def cached_tokens(usage: Any) -> int:
    """Return the prompt tokens that a server says it had cached. Raises one of MALFORMED."""
    details = (usage or {}).get("prompt_tokens_details") or {}
    cached = whole_number(details.get("cached_tokens") or 0)
    if cached > (usage or {}).get("prompt_tokens", cached):
        raise ValueError(f"{cached} cached tokens of {usage['prompt_tokens']}")
    return cached


def whole_number(value: Any) -> int:
    """Return a whole number, >= 0. Raises ValueError for anything else, texts included."""
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is not a whole number")
    return value


def logprobs_of(choice: Mapping[str, Any], op: Generate) -> tuple[TokenLogprob, ...]:
    """Return what was requested for each sampled token. Raises one of MALFORMED without it."""
    if op.logprobs is None:
        return ()
    logprobs = choice["logprobs"]
    told = logprobs["token_logprobs"]
    found = []
    for own, top in zip(told, logprobs.get("top_logprobs") or [{}] * len(told), strict=True):
        likeliest = sorted(map(_logprob, (top or {}).values()), reverse=True)
        found.append(TokenLogprob(_logprob(own), tuple(likeliest[: op.logprobs])))
    return tuple(found)


def _logprob(value: Any) -> float:
    """Return a log-probability. Raises ValueError for what cannot be one; rounding may be in it."""
    if isinstance(value, bool) or not -math.inf < value < 1e-3:
        raise ValueError(f"{value!r} is not a log-probability")
    return float(value)
