"""Calls to an OpenAI-compatible server and its answers, as JSON; no network here."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lm_eval_tts.core.faults import MALFORMED
from lm_eval_tts.core.program import SampledCounts, Sampling, TokenIds
from lm_eval_tts.engines.requests import BatchRow, SampledTokens
from lm_eval_tts.engines.server.answers import (
    Fault,
    cached_tokens,
    check_error,
    joined,
    logprobs_of,
    split_channels,
    whole_number,
)
from lm_eval_tts.engines.server.dialects import OFF, TOKENS, Dialect, as_openai
from lm_eval_tts.engines.tokenizer import Tokenizer
from lm_eval_tts.errors import RequestError

THINK_TAGS = ("<think>\n", "\n</think>\n\n")  # around what a server returns as reasoning
# OpenAI's own settings that some models do not have, as their refusals tell.
LACKING = ("max_tokens", "temperature", "top_p", "seed")
REFUSAL = re.compile(r"support|recogni|permit|allow|forbid|unknown|extra|deprecat|invalid", re.I)


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
    max_length: int = 4096  # the context in tokens, for servers that have to be told
    lacking: frozenset[str] = frozenset()  # settings of its dialect that the model does not take

    def payload(self, row: BatchRow) -> dict[str, Any]:
        """Return a call's body. Raises RequestError for what the server does not take."""
        op, way = row.op, self.dialect
        settings: dict[str, Any] = self.sampling(op.sampling)
        settings |= self._said("max_tokens", row.max_tokens)
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
        if way.returns_ids:
            settings["stop"] = [stop for stop in op.stop if stop and not op.min_tokens]
            if op.logprobs is not None:
                # llama.cpp tells nothing where it is asked for none.
                count = max(1, op.logprobs) if way.native else op.logprobs
                asked = (way.logprobs or {}).items()
                body |= {name: count if said == "count" else said for name, said in asked}
        if way.prompt == "messages":
            body |= self._chat_arguments()
        return body | ({way.under: settings} if way.under else settings)

    def sampling(self, sampling: Sampling) -> dict[str, Any]:
        """Return sampling in the server's terms. Everything is sent, because servers have their own
        defaults, except settings that are off and refused. Raises RequestError for what is in force
        and cannot be sent."""
        said: dict[str, Any] = {}
        for name, value in asdict(sampling).items():
            is_off, lacks = value == OFF[name], name in self.lacking
            if is_off and (lacks or name in self.dialect.unsaid or not self._knows(name)):
                continue
            if lacks:
                hint = ": set temperature=1,do_sample=true" if name == "temperature" else ""
                raise RequestError(f"this server's model takes no {name}={value:g}{hint}")
            said |= self._said(
                name, self.dialect.switched_off.get(name, value) if is_off else value
            )
        return said

    def _knows(self, name: str) -> bool:
        return self.dialect.settings.get(name) is not None

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
        effort = {}
        if way.effort and "reasoning_effort" in rest:
            effort = {way.effort: rest.pop("reasoning_effort")}
        if rest and not way.template:
            names = ", ".join(sorted(rest))
            raise RequestError(f"this server takes no chat_template_args: {names}")
        return effort | ({way.template: rest} if rest else {})

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
            raise RequestError(
                "this server has chat completions only, which cannot continue a response"
            ) from None

    def read(self, answer: Any, row: BatchRow) -> SampledTokens:
        """Return the sampled ids of an answer. Raises Fault if it contradicts itself."""
        try:
            check_error(answer)
            answer = as_openai(self.dialect.read, answer)
            choice = answer["choices"][0]
            ids = tuple(map(whole_number, choice["token_ids"]))
            usage = answer["usage"]
            sent, counted = (
                whole_number(usage["prompt_tokens"]),
                whole_number(usage["completion_tokens"]),
            )
            cached_tokens(usage)
            logprobs = logprobs_of(choice, row.op)
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

    def of_text(
        self, text: str, ended: bool, reasoning: str = "", counts: SampledCounts | None = None
    ) -> SampledTokens:
        """Return the ids of a text, with an end of turn if it has `ended` with one.
        reasoning: what came before it, which is put between `thinking`; where no text came, it was
        cut and is left open. counts: as the server reports them; its reasoning may be hidden."""
        reasoning, text = joined(reasoning), joined(text)
        if self.dialect.prompt == "messages" and not reasoning:
            reasoning, text = split_channels(text)
        is_thinking = reasoning or (counts is not None and counts.thinking)
        start, end = self.thinking if is_thinking else ("", "")
        before = self.tokenizer.encode(start + reasoning + (end if text or ended else ""))
        eos = (min(self.eos_token_ids),) if ended else ()
        ids = (*before, *self.tokenizer.encode(text), *eos)
        return SampledTokens(ids, num_thinking=len(before), counts=counts)
