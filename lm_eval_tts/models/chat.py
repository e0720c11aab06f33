"""Chat histories on their way from lm_eval to a model that applies the template itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jinja2

from lm_eval_tts.core.program import TokenIds
from lm_eval_tts.prompts import Message, plain_prompt, without_system


class ChatPrompt(str):
    """A rendered chat prompt that still has its messages.

    With --apply_chat_template lm_eval asks the model for this string. Log-likelihood tasks use it
    as it is; `generate_until` puts the prompt style around the messages and renders them anew, so
    that nothing is templated twice and no system message is lost.
    """

    messages: list[Message]

    def __new__(cls, text: str, messages: Sequence[Message]) -> ChatPrompt:
        """Return the rendered text with its messages attached."""
        prompt = super().__new__(cls, text)
        prompt.messages = [dict(message) for message in messages]
        return prompt

    def __getnewargs__(self) -> tuple[str, list[Message]]:  # type: ignore[override]
        """Say how to rebuild this when it is unpickled or copied."""
        return str(self), self.messages


def history_of(context: str) -> list[Message]:
    """Return the chat history of a request: lm_eval's own, or the context as one user turn."""
    if isinstance(context, ChatPrompt):
        return context.messages
    return [{"role": "user", "content": context}]


class TemplatedChat:
    """Mixin for model classes that have a transformers tokenizer: chats to prompts, prompts to ids.

    chat_template_args: given to the template, for example enable_thinking.
    """

    tokenizer: Any
    chat_template_args: dict[str, Any]
    tok_encode: Any

    def apply_chat_template(
        self, chat_history: list[Message], add_generation_prompt: bool = True
    ) -> ChatPrompt:
        """Render a chat, keeping its messages for `generate_until` to put a style around."""
        text = self._render_chat(chat_history, add_generation_prompt)
        return ChatPrompt(text, chat_history)

    def _render_chat(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> str:
        """Render a chat; where the template refuses a system message, it goes to the user turn."""

        def render(history: Sequence[Message]) -> str:
            text: str = self.tokenizer.apply_chat_template(
                list(history),
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
                **self.chat_template_args,
            )
            return text

        try:
            return render(messages)
        except jinja2.exceptions.TemplateError:
            return render(without_system(messages))

    def render(self, messages: Sequence[Message]) -> tuple[str, bool]:
        """Return the prompt text of a chat, and whether it came from a chat template."""
        if self.tokenizer.chat_template is None:
            return plain_prompt(messages), False
        return self._render_chat(messages), True

    def encode_prompt(self, text: str, templated: bool) -> TokenIds:
        """Return the ids of a whole prompt; a template has written its special tokens itself."""
        return tuple(self.tok_encode(text, add_special_tokens=False if templated else None))
