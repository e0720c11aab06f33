"""What a server can do, asked with one token before a run."""

from typing import Any, NamedTuple

from lm_eval_tts.core.program import Generate, Sampling, TokenIds
from lm_eval_tts.engines.requests import BatchRow
from lm_eval_tts.engines.server.client import Refused, Server
from lm_eval_tts.engines.server.dialects import IDS, SERVERS, TOKENS, Dialect, server_of
from lm_eval_tts.errors import MALFORMED, RequestError, SettingsError, unknown_name

KEY_HINT = "set the environment variable OPENAI_API_KEY to a key that the server takes"


class Served(NamedTuple):
    """A model that a server has."""

    model: str
    max_length: int | None  # its context in tokens; None: the server does not say
    server: str  # what serves it, a name in `SERVERS`


async def find_model(server: Server, model: str | None) -> Served:
    """Return the model of this name, or the only one. Raises SettingsError if there is none."""
    try:
        answer = await server.retrying(server.get, "/models")
        entries = {str(entry["id"]): entry for entry in answer["data"]}
    except Refused as error:
        _check_key(error)
        entries = {}
    except (RequestError, *MALFORMED) as error:
        where = f"the server {server.url} does not answer, is it started, and at this base_url?"
        raise SettingsError(f"{where} {error}") from None
    if model is None and len(entries) != 1:
        raise SettingsError(f"give model=, one of: {', '.join(sorted(entries))}")
    model = next(iter(entries)) if model is None else model
    if entries and model not in entries:
        raise unknown_name("model", model, entries)
    entry: dict[str, Any] = entries.get(model, {})
    base = entries.get(str(entry.get("parent")), {})  # of an adapter, which tells no length (vLLM)
    return Served(model, _length(entry) or _length(base), server_of(entry))


def _length(entry: dict[str, Any]) -> int | None:
    """Return the context that an entry reports, if it is a number of tokens."""
    meta = entry.get("meta")
    told = entry.get("max_model_len") or (meta.get("n_ctx") if isinstance(meta, dict) else None)
    return told if type(told) is int and told > 0 else None


def _check_key(error: Exception) -> None:
    """Raise SettingsError where a server has refused our key, or the lack of one."""
    if isinstance(error, Refused) and error.status in (401, 403):
        raise SettingsError(f"{error}: {KEY_HINT}") from None


async def find_dialect(
    server: Server, prompt: dict[str, TokenIds], kind: str = "unknown"
) -> Dialect:
    """Return the best dialect in which the server accepts a request for one token.
    prompt: token ids to ask with, for each kind of prompt that may be used. kind: of server, a name
    in `SERVERS`. Raises SettingsError if there is none."""
    refusals, wire = [], server.wire
    for dialect in SERVERS[kind]:
        if (ids := prompt.get(dialect.prompt)) is None:
            continue
        wire.dialect, wire.lacking = dialect, frozenset()
        while True:
            heat = Sampling(temperature=1.0 if "temperature" in wire.lacking else 0.0)
            row = BatchRow(Generate(ids, 1, sampling=heat), seed=0, max_tokens=1, ids=list(ids))
            try:
                answer = await server.retrying(server.post, wire.payload(row))
                exact = dialect.path != TOKENS.path or answer["choices"][0].get("token_ids")
                return wire.dialect if exact or not dialect.returns_ids else IDS
            except (RequestError, *MALFORMED) as error:
                _check_key(error)
                # A refusal of what is not OpenAI's own is mended by the next way to ask.
                if not dialect.switched_off and wire.learn(str(error)):
                    continue
                if "limit was reached" in str(error):  # of OpenAI's, by a thought of one token
                    return wire.dialect
                refusals.append(f"{dialect.path} with {dialect.prompt}: {error}")
            break
    raise SettingsError(f"the server {server.url} serves no completions: {'; '.join(refusals)}")
