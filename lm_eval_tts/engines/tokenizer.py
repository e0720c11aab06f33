"""Text to ids and back, as it stands in the middle of a sequence.

A strategy forces text into a response and an engine looks for stop strings in one; both need ids
that mean the same wherever they stand. Tokenizers that put a space before the first word (Llama 2,
Mistral, T5) do so at the start of a sequence only, hence the anchor.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

from lm_eval_tts.core.program import TokenIds


class Tokenizer(Protocol):
    """The two directions; nothing is added, skipped or cleaned up."""

    def encode(self, text: str) -> TokenIds:
        """Return the ids of `text`; special tokens written in it become single ids."""

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of ids, special tokens included."""


class ByteTokenizer:
    """One id per UTF-8 byte: needs no vocabulary, so tests can read their ids."""

    def encode(self, text: str) -> TokenIds:
        """Return the bytes of `text`."""
        return tuple(text.encode())

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of bytes; incomplete characters become U+FFFD."""
        return bytes(token_ids).decode(errors="replace")


class HFTokenizer:
    """A transformers tokenizer, seen from the middle of a sequence."""

    # A control character is in no merge, so it stays a token of its own at the left of any text.
    _ANCHOR = "\x01"

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._anchor_ids: list[int] = self._encode(self._ANCHOR)
        self._anchor_text = self._decode(self._anchor_ids)
        self.encode = lru_cache(maxsize=4096)(self._encode_inside)

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _decode(self, token_ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(
            list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text

    def _encode_inside(self, text: str) -> TokenIds:
        if not text:
            return ()
        anchored = self._encode(self._ANCHOR + text)
        size = len(self._anchor_ids)
        if anchored[:size] == self._anchor_ids and self.decode(anchored[size:]) == text:
            return tuple(anchored[size:])
        return tuple(self._encode(text))

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of ids, special tokens included."""
        text = self._decode([*self._anchor_ids, *token_ids])
        if text.startswith(self._anchor_text):
            return text[len(self._anchor_text) :]
        return self._decode(token_ids)
