"""An OpenAI-compatible server: what it can do, asked with one token, and what samples from it, one
prompt a call, retried where that can help.

Where only text comes back, few servers say which stop string ended it. So the text is streamed,
our own rule looks for the stop strings, and the call is ended where one is found."""

import asyncio
import json
import logging
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp
import tenacity

from lm_eval_tts.core.program import Generate, Sampling, TokenIds
from lm_eval_tts.engines.asynchronous import Sessions
from lm_eval_tts.engines.requests import BatchRow, SampledTokens
from lm_eval_tts.engines.server import dialects, wire
from lm_eval_tts.engines.server.dialects import Dialect
from lm_eval_tts.engines.server.wire import Fault, Wire
from lm_eval_tts.engines.stopping import find_stop
from lm_eval_tts.errors import MALFORMED, RequestError, SettingsError, unknown_name

logger = logging.getLogger(__name__)

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
LONGEST_WAIT = 60.0  # seconds between two tries, whatever a server asks for
KEY_HINT = "set the environment variable OPENAI_API_KEY to a key that the server takes"


class Refused(RequestError):
    """The server's answer to a request it will never serve; `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Server:
    """A server and how to talk to it."""

    url: str  # up to "/v1"
    wire: Wire
    # Sent with each call; may hold a key, which is in no message of ours.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 1800.0  # seconds for one answer, or between two pieces of a stream
    max_retries: int = 6  # tries for each request
    first_wait: float = 0.5  # seconds before the second try; doubled with each
    # The header with the same value for all requests of one problem: some routers keep sessions.
    session_header: str | None = None
    verify: Any = True  # whether, or by which ssl context, to check certificates
    prompt_tokens: Counter[str] = field(default_factory=Counter)  # "sent", of them "cached"
    num_retries: int = 0
    _client: aiohttp.ClientSession | None = None
    _sessions: Sessions = field(default_factory=Sessions)
    _run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    async def sample(self, row: BatchRow) -> SampledTokens:
        """Sample a part of a row. Raises RequestError when tries run out or none can help."""
        work = self._ids if self.wire.dialect.returns_ids else self._stream
        sampled: SampledTokens = await self.retrying(work, row)
        if row.op.min_tokens and self.wire.eos_token_ids & set(sampled.token_ids):
            raise RequestError("the server ignores logit_bias, so no ending can be masked")
        return sampled

    async def retrying(self, work: Any, *arguments: Any) -> Any:
        """Await `work(*arguments)`, again where a fault may be fixed, up to `max_retries`."""
        stop = tenacity.stop_after_attempt(self.max_retries)
        retry = tenacity.retry_if_exception_type(Fault)
        retrying = tenacity.AsyncRetrying(retry=retry, stop=stop, wait=self._wait)
        try:
            return await retrying(work, *arguments)
        except tenacity.RetryError as error:
            last = error.last_attempt.exception()
            raise RequestError(f"no answer after {self.max_retries} tries: {last}") from None

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Return the seconds before the next try: doubled each time, or what the server asks."""
        self.num_retries += 1
        fault = state.outcome.exception() if state.outcome else None
        logger.info("try %d failed (%s)", state.attempt_number, fault)
        first, asked = self.first_wait, getattr(fault, "wait", 0.0)
        doubled = tenacity.wait_exponential_jitter(first, LONGEST_WAIT, jitter=first)(state)
        return min(max(doubled, asked), LONGEST_WAIT)

    async def _ids(self, row: BatchRow) -> SampledTokens:
        answer = await self.post(self.wire.payload(row), row.op.token_ids)
        sampled, cached = self.wire.read(answer, row), wire.cached_tokens(answer["usage"])
        self.prompt_tokens.update(sent=len(row.op.token_ids), cached=cached)
        return sampled

    def client(self) -> aiohttp.ClientSession:
        """Return the session of this server's calls; to be called in the event loop."""
        if self._client is None:
            self._client = aiohttp.ClientSession(
                headers=self.headers,
                connector=aiohttp.TCPConnector(limit=0, ssl=self.verify),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=self.timeout),
                read_bufsize=2**24,  # an event is one line, which may be a whole answer
            )
        return self._client

    async def close(self) -> None:
        """End the connections."""
        if self._client is not None:
            await self._client.close()

    async def get(self, path: str) -> Any:
        """Return what is at a path, as JSON. Raises Fault or Refused."""
        return await self._json(self.client().get(self.url + path))

    async def post(self, body: Mapping[str, Any], token_ids: TokenIds = ()) -> Any:
        """Return the answer to a call in OpenAI's form. Raises Fault or Refused."""
        answer = await self._json(self._call(body, token_ids))
        with _faults():
            wire.check_error(answer)
            return dialects.as_openai(self.wire.dialect.read, answer)

    async def _json(self, call: Any) -> Any:
        with _faults():
            async with call as response:
                await self._check(response)
                return await response.json(content_type=None)

    def _call(self, body: Mapping[str, Any], token_ids: TokenIds) -> Any:
        name, way = self.session_header, self.wire.dialect
        headers = {name: f"{self._run}-{self._sessions.of(token_ids)}"} if name else {}
        root = self.url.removesuffix("/v1") if way.native else self.url
        return self.client().post(root + way.path, json=body, headers=headers)

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        if response.status == 200:
            return
        text = " ".join((await response.text(errors="replace")).split())[:300]
        for secret in self.headers.values():
            text = text.replace(secret.removeprefix("Bearer "), "***")
        message = f"the server answers {response.status}: {text}"
        if response.status not in RETRIED:
            raise Refused(message, response.status)
        wait = 0.0
        with suppress(ValueError):  # a date counts as none
            wait = max(0.0, float(response.headers.get("Retry-After", 0)))
        raise Fault(message, wait)

    async def _stream(self, row: BatchRow) -> SampledTokens:
        """Read text until it ends or holds a stop string, and return the ids of it. Stop strings
        are those of the answer, so what comes as reasoning is not searched. What a call has cached
        is reported at its end, so not where we end it."""
        if row.op.logprobs is not None:
            raise RequestError("this server returns no token ids, so no log-probabilities for them")
        usage: dict[str, Any] = {}
        reasoning, text, reason, match = "", "", None, None
        with _faults():
            async for event in self._events(row):
                usage = event.get("usage") or usage
                piece = wire.read_event(event)
                reasoning, text = reasoning + piece.reasoning, text + piece.text
                reason = piece.finish_reason or reason
                if match := find_stop(text, row.op.stop):
                    text, reason, usage = text[: match.start + len(match.stop)], "stop", {}
                    break
            cached, counts = wire.cached_tokens(usage), wire.counts_of(usage)
            if reason in wire.WITHHELD:
                raise RequestError(f"the server ended its answer with {reason!r}")
            if reason not in wire.FINISHES:
                raise Fault(f"a stream that ended with {reason!r}")
        self.prompt_tokens.update(sent=len(row.op.token_ids), cached=cached)
        # Some say "stop" as well where a thought has used up everything.
        cut = not text and counts is not None and counts.total >= row.max_tokens
        ended = wire.FINISHES[reason] and match is None and not cut
        return self.wire.of_text(text, ended, reasoning, counts)

    async def _events(self, row: BatchRow) -> AsyncIterator[dict[str, Any]]:
        """Yield the events of a stream, or the whole answer of a server that does not stream."""
        body, way = {**self.wire.payload(row), "stream": True}, self.wire.dialect
        if way.usage:
            body["stream_options"] = {"include_usage": True}
        async with self._call(body, row.op.token_ids) as response:
            await self._check(response)
            if response.content_type == "application/json":
                yield dialects.as_openai(way.read, json.loads(await response.read()))
                return
            async for line in response.content:
                data = line.decode(errors="replace").strip()
                for name in ("data:", "error:"):
                    data = data.removeprefix(name).strip()
                if data.startswith("{"):
                    yield dialects.as_openai(way.read, json.loads(data))


@contextmanager
def _faults() -> Iterator[None]:
    """Turn what may go wrong on the way, or in an answer's form, into a Fault."""
    try:
        yield
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError, *MALFORMED) as error:
        raise Fault(f"{type(error).__name__}: {error}") from error


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
    return Served(model, _length(entry) or _length(base), dialects.server_of(entry))


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
    refusals, asked = [], server.wire
    for dialect in dialects.SERVERS[kind]:
        if (ids := prompt.get(dialect.prompt)) is None:
            continue
        asked.dialect, asked.lacking = dialect, frozenset()
        while True:
            heat = Sampling(temperature=1.0 if "temperature" in asked.lacking else 0.0)
            row = BatchRow(Generate(ids, 1, sampling=heat), seed=0, max_tokens=1, ids=list(ids))
            try:
                answer = await server.retrying(server.post, asked.payload(row))
                exact = dialect.path != dialects.TOKENS.path or not dialect.returns_ids
                exact = exact or answer["choices"][0].get("token_ids")
                return asked.dialect if exact else dialects.IDS
            except (RequestError, *MALFORMED) as error:
                _check_key(error)
                # A refusal of what is not OpenAI's own is mended by the next way to ask.
                if not dialect.switched_off and asked.learn(str(error)):
                    continue
                if "limit was reached" in str(error):  # of OpenAI's, by a thought of one token
                    return asked.dialect
                refusals.append(f"{dialect.path} with {dialect.prompt}: {error}")
            break
    raise SettingsError(f"the server {server.url} serves no completions: {'; '.join(refusals)}")
