"""A model whose responses are written by a Python function: lm_eval tasks without a network.

    lm = ScriptedLM(lambda prompt, seed: "<think>\\n2+2</think>4", delimiters="think")
    lm_eval.simple_evaluate(lm, tasks=["gsm8k"], gen_kwargs="strategy=budget")

For tests of tasks and strategies, and for people who write them."""

from types import SimpleNamespace
from typing import Any

from lm_eval_tts.core.program import TokenIds
from lm_eval_tts.engines.scripted import ScriptedEngine, Writer
from lm_eval_tts.engines.tokenizer import ByteTokenizer
from lm_eval_tts.errors import DataError
from lm_eval_tts.models.arguments import OWN
from lm_eval_tts.models.base import StrategyLM
from lm_eval_tts.models.checkpoint import ModelFamily
from lm_eval_tts.models.session import Session
from lm_eval_tts.prompts import Message, plain_prompt


class PlainChat:
    """Chats as plain text, in bytes."""

    can_continue = True

    def apply(self, messages: list[Message], add_generation_prompt: bool = True) -> str:
        """Return the text of a chat."""
        return plain_prompt(messages)

    render = apply

    def encode(self, prompt: str) -> TokenIds:
        """Return the bytes of a prompt."""
        return ByteTokenizer().encode(prompt)


class ScriptedLM(StrategyLM):
    """Answers by `write(text so far, seed)`; see `ScriptedEngine`."""

    def __init__(self, write: Writer, max_length: int = 100_000, **settings: Any) -> None:
        """Take the writer, the context in bytes, and the settings of all tasks."""
        super().__init__()
        self.session = Session(settings, "ScriptedLM", OWN, strict=True)
        chat: Any = PlainChat()
        checkpoint: Any = SimpleNamespace(  # nothing is loaded; its tokens are bytes
            text=ByteTokenizer(),
            names={"pretrained": "scripted"},
            family=ModelFamily(),
            recommended={},
            policy_size=None,
            vocabulary_size=257,
            facts=lambda max_length: {"pretrained": "scripted", "max_length": str(max_length)},
        )
        self.template = chat
        engine = ScriptedEngine(write, max_length=max_length, max_num_seqs=64)
        self.session.serve(checkpoint, chat, lambda: engine)

    def loglikelihood(self, requests: Any, **unused: Any) -> Any:
        """Not scripted. Raises DataError."""
        raise DataError("a scripted model writes texts only: log-likelihood tasks cannot run on it")

    loglikelihood_rolling = loglikelihood
