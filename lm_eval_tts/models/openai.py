"""`tts-openai`: test-time strategies over an OpenAI-compatible server.

    lm_eval --model tts-openai --model_args base_url=http://localhost:8000/v1,tokenizer=<name>

Arguments are those of lm-eval's `local-completions`, whose log-likelihood tasks run unchanged. The
key comes from the environment variable OPENAI_API_KEY alone.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from lm_eval.models.api_models import TemplateAPI
from lm_eval.models.openai_completions import LocalCompletionsAPI
from transformers import GenerationConfig

from lm_eval_tts.checkpoints import find_checkpoint
from lm_eval_tts.core.digests import tokenizer_digest
from lm_eval_tts.core.engine import Engine
from lm_eval_tts.core.program import TokenIds
from lm_eval_tts.engines.asynchronous import AsyncEngine, Background
from lm_eval_tts.engines.server.client import Server
from lm_eval_tts.engines.server.probe import find_dialect, find_model
from lm_eval_tts.engines.server.wire import CHAT, STRICT_CHAT, TOKENS, Wire
from lm_eval_tts.engines.tokenizer import ByteTokenizer, HFTokenizer
from lm_eval_tts.errors import SettingsError, unknown_name
from lm_eval_tts.models.base import StrategyLM
from lm_eval_tts.models.chat import TemplatedChat, history_of
from lm_eval_tts.models.keeping import take_keeping
from lm_eval_tts.prompts import Message
from lm_eval_tts.settings import Settings, take_settings
from lm_eval_tts.strategies import Strategy
from lm_eval_tts.strategies.best_of_n import BestOfN
from lm_eval_tts.strategies.self_consistency import SelfConsistency
from lm_eval_tts.strategies.single import Single

logger = logging.getLogger(__name__)

KEY_NAMES = ("authorization", "api-key", "x-api-key")
PASSED_BY_LM_EVAL = {"batch_size", "max_batch_size", "device"}


class TTSOpenAI(TemplatedChat, StrategyLM, LocalCompletionsAPI):
    """A model behind `/v1/completions`, or `/v1/chat/completions` for what needs no more."""

    tokenizer: Any

    def __init__(
        self,
        base_url: str | None = None,
        model: str | None = None,
        *,
        num_concurrent: int = 32,
        max_retries: int = 6,
        timeout: float = 1800,
        max_length: int | None = None,
        session_header: str | None = None,
        header: Mapping[str, str] | None = None,
        chat_template_args: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Ask the server what it can do.

        base_url: up to /v1; /completions or /chat/completions behind it chooses one of them.
        model: as the server names it; not needed where it serves one. num_concurrent: calls at
        once. max_retries: tries for each call. timeout: seconds for an answer. max_length: the
        context in tokens, where the server does not tell. session_header: see engines.openai.
        reward_model, reward_model_type ...: see `RewardModelSettings`.
        Raises SettingsError for wrong settings and servers that cannot be used.
        """
        self.keep(**take_keeping(kwargs))
        self.strategy_defaults = take_settings(kwargs)
        self.load_reward_model(kwargs)
        check_arguments(base_url, header, kwargs)
        if kwargs.get("tokenizer"):
            kwargs["tokenizer"] = find_checkpoint(kwargs["tokenizer"])
        headers = {**(header or {}), **authorization()}
        self._background = Background()
        self._server = Server(
            str(base_url).removesuffix("/").removesuffix("/completions").removesuffix("/chat"),
            Wire(model or "", ByteTokenizer(), frozenset()),  # until both are known
            headers=headers,
            timeout=float(timeout),
            max_retries=int(max_retries),
            session_header=session_header,
            verify=kwargs.get("verify_certificate", True),
        )
        weakref.finalize(self, _close, self._background, self._server)
        served = self._background.run(find_model(self._server, model))
        self._server.wire.model = served.model
        try:
            LocalCompletionsAPI.__init__(
                self,
                base_url=f"{self._server.url}/completions",
                tokenizer_backend="huggingface",
                model=served.model,
                num_concurrent=int(num_concurrent),
                max_retries=int(max_retries),
                timeout=int(timeout),
                **kwargs,
            )
        except OSError as error:
            raise SettingsError(
                f"the tokenizer cannot be loaded ({str(error).splitlines()[0]}): "
                "give tokenizer=<Hub name or local folder>"
            ) from error
        self.header = headers
        self.max_length = usable_length(max_length, served.max_length)
        self.chat_template_args = dict(chat_template_args or {})
        self.text_tokenizer = HFTokenizer(self.tokenizer)
        self.vocabulary_size = len(self.tokenizer)
        self._learn_dialect(str(base_url).endswith("/chat/completions"))

    def _learn_dialect(self, chat: bool) -> None:
        """Ask in which form the server takes prompts, and say once what follows."""
        server, tokenizer = self._server, self.text_tokenizer
        server.wire.tokenizer = tokenizer
        server.wire.eos_token_ids = frozenset(self._eos_token_ids())
        server.wire.bos = self.tokenizer.bos_token or ""
        hello = tokenizer.encode("Hello")
        messages = tokenizer.encode(chat_text([{"role": "user", "content": "Hello"}]))
        prompts = {"messages": messages} | ({} if chat else {"ids": hello, "text": hello})
        server.wire.dialect = self._background.run(find_dialect(server, prompts))
        if self._chat_only:
            logger.warning(
                "%s has chat completions only: strategies that continue a response cannot run, "
                "and tokens are counted by our tokenizer from the text",
                server.url,
            )
            if "strategy" in self.strategy_defaults:
                self._settings_reader()({})
        elif server.wire.dialect != TOKENS:
            logger.warning(
                "%s returns no token ids: responses are exact in their text, and their tokens "
                "are what our tokenizer makes of it",
                server.url,
            )

    @property
    def _chat_only(self) -> bool:
        return self._server.wire.dialect in (CHAT, STRICT_CHAT)

    @cached_property
    def engine(self) -> Engine:
        """The engine; `num_concurrent` is its number of sequences."""
        return AsyncEngine(
            self._server.sample,
            self._background,
            self.text_tokenizer,
            eos_token_ids=sorted(self._server.wire.eos_token_ids),
            max_length=self.max_length,
            max_num_seqs=self._concurrent,
        )

    def _settings_reader(self) -> Callable[[Mapping[str, Any]], Settings]:
        """Refuse, before anything is sent, strategies that the server cannot serve."""
        read = StrategyLM._settings_reader(self)

        def check(kwargs: Mapping[str, Any]) -> Settings:
            settings = read(kwargs)
            if self._chat_only and continues(settings.strategy):
                name = type(settings.strategy).__name__.lower()
                raise SettingsError(
                    f"strategy {name!r} continues a response, but {self._server.url} has chat "
                    "completions only: use a server with /v1/completions, or one of single, "
                    "self_consistency and best_of_n without max_thinking_tokens"
                )
            return settings

        return check

    def run_facts(self) -> dict[str, str]:
        """Return what makes the results of two runs differ, as far as a server tells."""
        return {
            "model": self._server.wire.model,
            "tokenizer": tokenizer_digest(self.tokenizer),
            "max_length": str(self.engine.max_length),
            **self.reward_facts(),
            "seed": str(self.run_seed()),
        }

    def get_model_info(self) -> dict[str, Any]:
        """Return how the server was used; no header, for it may hold a key."""
        tokens = self._server.prompt_tokens
        return {
            "served_model": self._server.wire.model,
            **self.reward_info(),
            "token_exact": self._server.wire.dialect == TOKENS,
            "prompt_tokens_sent": tokens.sent,
            "prompt_tokens_cached": tokens.cached,
            "retries": self._server.num_retries,
        }

    def _eos_token_ids(self) -> list[int]:
        """Return the ids that end a turn: the tokenizer's and, where at hand, the checkpoint's."""
        try:
            declared = GenerationConfig.from_pretrained(self.tokenizer.name_or_path).eos_token_id
        except OSError:
            declared = None
        several = declared if isinstance(declared, list) else [declared]
        ids = {self.tokenizer.eos_token_id, *several} - {None}
        return sorted(ids)

    def render(self, messages: Sequence[Message]) -> tuple[str, bool]:
        """Return the prompt text of a chat; a chat server gets the messages themselves."""
        if self._chat_only:
            return chat_text(messages), True
        return TemplatedChat.render(self, messages)

    def encode_prompt(self, text: str, templated: bool) -> TokenIds:
        """Return the ids of a whole prompt; a template has written its special tokens itself."""
        if self._chat_only:
            messages = text if text.startswith("[{") else chat_text(history_of(text))
            return self.text_tokenizer.encode(messages)
        return tuple(self.tokenizer.encode(text, add_special_tokens=not templated))

    def run_seed(self) -> int:
        """Return torch's seed, which lm-eval's --seed sets before the model is made."""
        return int(torch.initial_seed())


def continues(strategy: Strategy) -> bool:
    """Whether a strategy continues a response, which takes more than chat completions."""
    if isinstance(strategy, (SelfConsistency, BestOfN)):
        return strategy.max_thinking_tokens is not None
    return not isinstance(strategy, Single)


def check_arguments(
    base_url: str | None, header: Mapping[str, str] | None, kwargs: Mapping[str, Any]
) -> None:
    """Raise SettingsError for arguments that are missing, unknown, or hold a key."""
    if not base_url:
        raise SettingsError("tts-openai needs a server: base_url=http://<host>:<port>/v1")
    given = {name.lower() for name in header or {}}
    if "auth_token" in kwargs or "api_key" in kwargs or given & set(KEY_NAMES):
        raise SettingsError(
            "a key in --model_args would be written to the results: "
            "set the environment variable OPENAI_API_KEY instead"
        )
    kinds = (TTSOpenAI, LocalCompletionsAPI, TemplateAPI)
    allowed = {name for kind in kinds for name in inspect.signature(kind.__init__).parameters}
    allowed -= {"self", "kwargs", "auth_token"}
    for name in kwargs.keys() - allowed - PASSED_BY_LM_EVAL:
        raise unknown_name("argument of tts-openai", name, allowed)


def authorization() -> dict[str, str]:
    """Return the header with the key of the environment, if there is one."""
    key = os.environ.get("OPENAI_API_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


def usable_length(given: int | None, told: int | None) -> int:
    """Return the context in tokens: what the user gives, within what the server tells."""
    lengths = [int(length) for length in (given, told) if length]
    if not lengths:
        raise SettingsError("the server does not tell its context length: give max_length=")
    return min(lengths)


def chat_text(messages: Sequence[Message]) -> str:
    """Return messages as the text that stands for them in token ids."""
    return json.dumps(list(messages))


def _close(background: Background, server: Server) -> None:
    background.run(server.close())
