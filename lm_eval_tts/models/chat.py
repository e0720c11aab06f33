"""Chat histories on their way from lm_eval to a model that applies the template itself."""

from __future__ import annotations

from collections.abc import Sequence

from lm_eval_tts.prompts import Message


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
