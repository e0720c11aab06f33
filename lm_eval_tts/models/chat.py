"""Chat histories on their way from lm_eval to a model that applies the template itself."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import jinja2

from lm_eval_tts.core.program import TokenIds
from lm_eval_tts.errors import RequestError, SettingsError
from lm_eval_tts.prompts import Message, plain_prompt, without_system


class ChatPrompt(str):
    """A rendered chat prompt that still has its messages.
    With --apply_chat_template lm_eval asks the model for this string. Log-likelihood tasks use it
    as it is; `generate_until` puts the prompt style around the messages and renders them anew, so
    that nothing is templated twice and no system message is lost."""

    messages: list[Message]
    failure: str | None  # why the template could not render them; the text is then a plain one

    def __new__(
        cls, text: str, messages: Sequence[Message] = (), failure: str | None = None
    ) -> "ChatPrompt":
        """Return the rendered text with its messages attached; pickle does so later."""
        prompt = super().__new__(cls, text)
        prompt.messages = [dict(message) for message in messages]
        prompt.failure = failure
        return prompt


def history_of(context: str) -> list[Message]:
    """Return the chat history of a request: lm_eval's own, or the context as one user turn. Raises
    RequestError for one that the chat template could not render."""
    if not isinstance(context, ChatPrompt):
        return [{"role": "user", "content": context}]
    if context.failure is not None:
        raise RequestError(context.failure)
    return context.messages


class Chat(Protocol):
    """How a model takes a conversation."""

    can_continue: bool  # it can go on with a response that it has begun

    def render(self, messages: Sequence[Message]) -> str:
        """Return the prompt text of a chat; a ChatPrompt where a template made it."""

    def encode(self, prompt: str) -> TokenIds:
        """Return the ids of a whole prompt."""


@dataclass(frozen=True)
class TemplateChat:
    """The chat template of a transformers tokenizer."""

    tokenizer: Any
    template_args: Mapping[str, Any]  # given to the template, for example enable_thinking
    # As lm_eval's `tok_encode`, which adds special tokens as the model wants them where it is told
    # None; without it the tokenizer encodes, and adds them unless a template has written them.
    encode_text: Callable[..., Sequence[int]] | None = None
    can_continue = True

    def apply(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool = True,
        ends_turn: bool = False,
    ) -> str:
        """Render a chat; where the template refuses a system message, it goes to the user turn.
        ends_turn: the last message is whole, and what the template ends a turn with follows it."""
        how = {
            **self.template_args,
            "tokenize": False,
            "add_generation_prompt": add_generation_prompt and not ends_turn,
            "continue_final_message": not (add_generation_prompt or ends_turn),
        }
        try:
            return str(self.tokenizer.apply_chat_template(list(messages), **how))
        except jinja2.exceptions.TemplateError:
            return str(self.tokenizer.apply_chat_template(without_system(messages), **how))

    def reads(self, name: str) -> bool:
        """Say whether the template reads an argument of this name."""
        return re.search(rf"\b{name}\b", str(self.tokenizer.chat_template or "")) is not None

    def render(self, messages: Sequence[Message]) -> str:
        """Return the prompt text of a chat; a plain one where there is no template."""
        if self.tokenizer.chat_template is None:
            return plain_prompt(messages)
        begun = messages[-1]["role"] == "assistant"  # by the task's gen_prefix
        return ChatPrompt(self.apply(messages, add_generation_prompt=not begun), messages)

    def encode(self, prompt: str) -> TokenIds:
        """Return the ids of a whole prompt; a template has written its special tokens itself."""
        encode = self.encode_text or self.tokenizer.encode
        as_wanted = True if self.encode_text is None else None
        special = False if isinstance(prompt, ChatPrompt) else as_wanted
        return tuple(encode(str(prompt), add_special_tokens=special))


def in_mode(chat: Chat, context: str, mode: Mapping[str, Any], *, styled: bool) -> tuple[Chat, str]:
    """Return a chat and a context as they are in a reasoning mode.
    mode: what the chat template is given. styled: a prompt style will render the context anew.
    Raises SettingsError where the mode would change nothing."""
    if not mode:
        return chat, context
    names = " and ".join(f"{name}=" for name in mode)
    refused = f"{names} cannot be switched:"
    if not isinstance(chat, TemplateChat):
        raise SettingsError(f"{refused} here a chat template gets one value for all, in model_args")
    if not all(map(chat.reads, mode)):
        raise SettingsError(f"{refused} the chat template does not read that")
    chat = replace(chat, template_args={**chat.template_args, **mode})
    if isinstance(context, ChatPrompt):
        return chat, chat.render(context.messages)
    if not styled:
        raise SettingsError(
            f"{names} goes to the chat template, which this task's prompt does not use: give "
            "--apply_chat_template or prompt_style="
        )
    return chat, context
