"""What servers take and return: a table (dialects.yaml), and how answers are read as OpenAI's.

How exact a server is depends on the way it is asked:

    ids to ids         the same as an engine in this process
    ids, text to text  its ids are what our tokenizer makes of the text
    messages           a response cannot be continued
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from lm_eval_tts.core.disk import read_yaml
from lm_eval_tts.core.program import Sampling

OFF = asdict(Sampling(temperature=1.0))  # what a setting is where it changes nothing


class Dialect(NamedTuple):
    """A way to ask a server; the fields are those of `ways` in dialects.yaml."""

    path: str
    prompt: str
    settings: Mapping[str, str | None]
    native: bool = False
    prompt_name: str = "prompt"
    under: str = ""
    also: Mapping[str, Any] = {}
    switched_off: Mapping[str, Any] = {}
    unsaid: tuple[str, ...] = ("frequency_penalty", "presence_penalty")
    logprobs: Mapping[str, Any] | None = None
    read: str = ""
    stop_ids: str = ""
    context: tuple[str, ...] = ()
    template: str = ""
    effort: str = ""
    usage: bool = False
    seed_bits: int = 63
    estimated: str = ""

    @property
    def returns_ids(self) -> bool:
        """Whether token ids come back."""
        return self.logprobs is not None


_DIALECTS = read_yaml("engines/server/dialects.yaml")
TOKENS, IDS, TEXT, STRICT, CHAT, STRICT_CHAT = (
    Dialect(**way) for way in _DIALECTS["ways"].values()
)
SERVERS = {
    name: tuple(Dialect(**way) for way in server["ways"])
    for name, server in _DIALECTS["servers"].items()
}


def server_of(entry: Mapping[str, Any]) -> str:
    """Return the name in `SERVERS` of a server that lists a model with this entry."""
    owner = entry.get("owned_by")
    if owner and owner == entry.get("id"):
        return "TGI"
    servers = _DIALECTS["servers"].items()
    return next((name for name, server in servers if owner in server["owners"]), "unknown")


def as_openai(kind: str, answer: Any) -> Any:
    """Return an answer or an event of a server's own route in OpenAI's form.
    kind: `read` of its dialect. Raises KeyError or TypeError for one that has another form."""
    return _READERS[kind](answer) if kind and "error" not in answer else answer


def _of_llamacpp(answer: Any) -> Any:
    """Read what llama.cpp's /completion returns; `tokens` has the ending in it."""
    reason = "truncated" if answer["truncated"] else answer["stop_type"]
    entries = answer.get("completion_probabilities") or []
    tops = [[top["logprob"] for top in entry["top_logprobs"]] for entry in entries]
    sent, cached = answer["tokens_evaluated"], answer["timings"]["cache_n"]
    choice = {
        "token_ids": answer["tokens"],
        "finish_reason": {"limit": "length", "eos": "stop", "word": "stop"}.get(reason, reason),
        "stop_reason": answer["stopping_word"] or None,
        "logprobs": _told([entry["logprob"] for entry in entries], tops),
    }
    return _answer(choice, sent, answer["tokens_predicted"], cached)


def _of_sglang(answer: Any) -> Any:
    """Read what SGLang's /generate returns; `output_ids` has the ending in it."""
    told = answer["meta_info"]
    own = [own for own, *_ in told.get("output_token_logprobs") or []]
    tops = [[top for top, *_ in entry or []] for entry in told.get("output_top_logprobs") or []]
    choice = {
        "token_ids": answer["output_ids"],
        "finish_reason": told["finish_reason"]["type"],
        "stop_reason": told["finish_reason"].get("matched"),
        "logprobs": _told(own, tops),
    }
    counts = told["prompt_tokens"], told["completion_tokens"], told.get("cached_tokens") or 0
    return _answer(choice, *counts)


def _of_ollama(event: Any) -> Any:
    choice = {"text": event.get("response"), "finish_reason": event.get("done_reason")}
    return _answer(choice, event.get("prompt_eval_count"), event.get("eval_count"), 0)


_READERS = {"llamacpp": _of_llamacpp, "sglang": _of_sglang, "ollama": _of_ollama}


def _told(own: list[float], tops: list[list[float]]) -> dict[str, Any]:
    return {"token_logprobs": own, "top_logprobs": [dict(enumerate(top)) for top in tops]}


def _answer(choice: dict[str, Any], sent: Any, sampled: Any, cached: Any) -> dict[str, Any]:
    details = {"cached_tokens": cached}
    usage = {"prompt_tokens": sent, "completion_tokens": sampled, "prompt_tokens_details": details}
    return {"choices": [choice], "usage": usage}
