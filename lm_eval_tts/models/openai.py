"""`tts-openai`: test-time strategies over an OpenAI-compatible server.

    lm_eval --model tts-openai --model_args base_url=http://localhost:8000/v1,tokenizer=<name>

Arguments are those of lm-eval's `local-completions`, whose log-likelihood tasks run unchanged. The
key comes from the environment variable OPENAI_API_KEY alone."""

import inspect
import json
import logging
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.models.api_models import TemplateAPI
from lm_eval.models.openai_completions import LocalCompletionsAPI
from transformers import GenerationConfig

from lm_eval_tts.checkpoints import find_checkpoint
from lm_eval_tts.core.engine import Engine
from lm_eval_tts.core.program import TokenIds
from lm_eval_tts.engines.asynchronous import AsyncEngine, Background
from lm_eval_tts.engines.server.client import Server, find_dialect, find_model
from lm_eval_tts.engines.server.wire import Wire
from lm_eval_tts.engines.tokenizer import ByteTokenizer, HFTokenizer
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.models.arguments import OWN, check_loading, headers_of
from lm_eval_tts.models.base import StrategyLM
from lm_eval_tts.models.chat import Chat, ChatPrompt, TemplateChat, history_of
from lm_eval_tts.models.checkpoint import Checkpoint, find_family
from lm_eval_tts.models.session import Session
from lm_eval_tts.prompts import Message
from lm_eval_tts.settings import parse_settings
from lm_eval_tts.strategies import Abilities, LogprobKind

logger = logging.getLogger(__name__)


class TTSOpenAI(StrategyLM, LocalCompletionsAPI):
    """A model behind `/v1/completions`, or `/v1/chat/completions` for what needs no more.
    base_url: up to /v1; /completions or /chat/completions after it chooses one of them. model: as
    the server names it; not needed where it serves one. num_concurrent: calls at once. max_retries:
    tries for each call. timeout: seconds for an answer. max_length: the context in tokens, where
    the server does not say. think_end_token: as in lm-eval's `hf`, the default of thinking_end.
    session_header: see `Server`. chat_template_args, enable_thinking, reasoning_effort: of the chat
    template, ours or, where it takes messages only, the server's. journal, max_failures: see
    `RunState`. reward_model ...: see `RewardModelSettings`."""

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
        think_end_token: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Ask the server what it can do. Raises SettingsError where it cannot be used."""
        calls = {"num_concurrent": num_concurrent, "max_retries": max_retries, "timeout": timeout}
        check_loading({k: "None" if v is None else v for k, v in calls.items()})
        headers = headers_of(base_url, header)
        self.session = Session(kwargs, "tts-openai", OPENAI_ARGUMENTS, strict=True)
        if kwargs.get("tokenizer"):
            kwargs["tokenizer"] = find_checkpoint(kwargs["tokenizer"])
        self._background = Background()
        self._server = Server(
            # Up to /v1, whatever the user has written after it.
            str(base_url).removesuffix("/").removesuffix("/completions").removesuffix("/chat"),
            Wire(model or "", ByteTokenizer(), frozenset()),  # until both are known
            headers=headers,
            timeout=float(timeout),
            max_retries=int(max_retries),
            session_header=session_header,
            verify=kwargs.get("verify_certificate", True),
        )
        weakref.finalize(self, lambda b, s: b.run(s.close()), self._background, self._server)
        served = self._background.run(find_model(self._server, model))
        self._server.wire.model, self._kind = served.model, served.server
        try:
            LocalCompletionsAPI.__init__(
                self,
                base_url=f"{self._server.url}/completions",
                tokenizer_backend="huggingface",
                model=served.model,
                **{name: int(number) for name, number in calls.items()},
                **kwargs,
            )
        except OSError as error:
            raise SettingsError(
                f"the tokenizer cannot be loaded ({str(error).splitlines()[0]}): "
                "give tokenizer=<Hub name or local folder>"
            ) from error
        self.header = self._server.headers
        self.end_thinking_at(think_end_token)
        lengths = [int(length) for length in (max_length, served.max_length) if length]
        if not lengths:
            raise SettingsError("the server does not report its context length: give max_length=")
        self.max_length = min(lengths)
        args = self.session.template_args(chat_template_args)
        self._serve(args, str(base_url).endswith("/chat/completions"))

    def _serve(self, chat_template_args: Mapping[str, Any], chat_only: bool) -> None:
        self.template, wire = TemplateChat(self.tokenizer, chat_template_args), self._server.wire
        try:
            generation_config = GenerationConfig.from_pretrained(self.tokenizer.name_or_path)
        except OSError:  # it is not at hand
            generation_config = None
        checkpoint = Checkpoint(
            self.tokenizer,
            {"served_model": wire.model},
            generation_config=generation_config,
            own_facts=lambda: {
                "model": wire.model,
                "dialect": wire.dialect,
                "template": wire.template_args,
            },
            vocabulary_size=len(self.tokenizer),
        )
        wire.template_args, wire.max_length = chat_template_args, self.max_length
        wire.tokenizer, wire.eos_token_ids = checkpoint.text, frozenset(checkpoint.eos_token_ids)
        wire.bos, wire.vocabulary_size = self.tokenizer.bos_token or "", checkpoint.vocabulary_size
        chat = self._learn_dialect(checkpoint.text, chat_only)
        continues = wire.dialect.prompt != "messages"
        abilities = Abilities(
            name=self._server.url,
            continues=continues,
            masks_strings=False,
            # They come with token ids.
            logprobs=LogprobKind.TOP if wire.dialect.returns_ids else LogprobKind.NONE,
            check_sampling=wire.sampling,
        )
        self.session.serve(checkpoint, chat, self._make_engine, abilities)
        if not continues and "strategy" in self.session.defaults:
            self.session.settings_reader()({})

    def _learn_dialect(self, tokenizer: HFTokenizer, chat_only: bool) -> Chat:
        """Ask in which form the server takes prompts, say once what follows, and return how it
        takes a conversation."""
        server, wire, messages = self._server, self._server.wire, MessagesChat(tokenizer)
        prompts = {"messages": messages.encode("Hello")}
        if not chat_only:
            prompts |= dict.fromkeys(("ids", "text"), tokenizer.encode("Hello"))
        wire.dialect = self._background.run(find_dialect(server, prompts, self._kind))
        if wire.dialect.prompt == "messages":
            logger.warning(
                "%s has chat completions only: strategies that continue a response cannot run, "
                "and tokens are counted by our tokenizer from the text",
                server.url,
            )
            self._name_thinking()
            return messages
        if not wire.dialect.returns_ids:
            logger.warning(
                "%s returns no token ids: responses are exact in their text, and their tokens "
                "are what our tokenizer makes of it",
                server.url,
            )
        return self.template

    def _name_thinking(self) -> None:
        """Write reasoning that the server returns apart between the tags that responses have."""
        family = find_family(self.template).delimiters
        marks, wire = parse_settings(self.session.defaults, family).delimiters, self._server.wire
        if marks.thinking_start and marks.thinking_end:
            wire.thinking = (marks.thinking_start, marks.thinking_end)
        start, end = wire.thinking
        self.session.defaults |= {"thinking_start": start, "thinking_end": end}

    def _make_engine(self) -> Engine:
        return AsyncEngine(
            self._server.sample,
            self._background,
            self.session.checkpoint.text,
            eos_token_ids=sorted(self._server.wire.eos_token_ids),
            max_length=self.max_length,
            max_num_seqs=self._concurrent,
        )

    def get_model_info(self) -> dict[str, Any]:
        """Return how the server was used; no header, for it may hold a key."""
        return {
            "model": "tts-openai",
            **self.session.info(),
            "server": self._kind,
            "token_exact": self._server.wire.dialect.returns_ids,
            "prompt_tokens_sent": self._server.prompt_tokens["sent"],
            "prompt_tokens_cached": self._server.prompt_tokens["cached"],
            "retries": self._server.num_retries,
        }


_TAKERS = (TTSOpenAI, LocalCompletionsAPI, TemplateAPI)
_TAKEN = {name for kind in _TAKERS for name in inspect.signature(kind.__init__).parameters}
OPENAI_ARGUMENTS = OWN | _TAKEN - {"self", "kwargs", "auth_token"}


class MessagesChat:
    """A server that takes messages only: token ids stand for their JSON."""

    can_continue = False

    def __init__(self, tokenizer: HFTokenizer) -> None:
        self._tokenizer = tokenizer

    def render(self, messages: Sequence[Message]) -> str:
        """Return the messages as text."""
        return ChatPrompt(json.dumps(list(messages)), messages)

    def encode(self, prompt: str) -> TokenIds:
        """Return the ids of messages; a bare text is one user turn."""
        return self._tokenizer.encode(json.dumps(history_of(prompt)))
