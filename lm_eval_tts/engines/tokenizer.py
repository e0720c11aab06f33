"""Text to ids and back, as it stands in the middle of a sequence.

A strategy forces text into a response and an engine looks for stop strings in one; both need ids
that mean the same wherever they stand. How a text is split depends on what is before it: `<think>`
is `<th` and `ink>` after a line break, but not after a letter, to a pattern such as Qwen2.5's."""

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

    def encode_after(self, token_ids: Sequence[int], text: str) -> TokenIds:
        """Return the bytes of `text`, whatever comes before it."""
        return self.encode(text)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of bytes; incomplete characters become U+FFFD."""
        return bytes(token_ids).decode(errors="replace")


class HFTokenizer:
    """A transformers tokenizer, seen from the middle of a sequence."""

    # What a text stands after where it is not said: a line break, as before most tags, or where
    # that would melt into it a control character, which is in no merge.
    _ANCHORS = ("\n", "\x01")
    _TAIL = 16  # tokens that are looked at before a text; splits depend on few of them
    _NEAR = 4  # tokens by which a tail may be split otherwise when something follows

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._anchor_ids: list[int] = self._encode(self._ANCHORS[-1])
        self._anchor_text = self._decode(self._anchor_ids)
        self.encode = lru_cache(maxsize=4096)(self._encode_inside)
        self._encode_behind = lru_cache(maxsize=4096)(self._encode_after_tail)

    def encode_after(self, token_ids: Sequence[int], text: str) -> TokenIds:
        """Return the ids that `text` has after these, which stay as they are. They are those of
        encoding both as one text, unless a token of that lies across the seam."""
        return self._encode_behind(tuple(token_ids[-self._TAIL :]), text)

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _decode(self, token_ids: Sequence[int]) -> str:
        as_is = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
        return str(self._tokenizer.decode(list(token_ids), **as_is))

    def _encode_after_tail(self, tail: TokenIds, text: str) -> TokenIds:
        before = self.decode(tail)
        # Llama 2's tokenizer writes a space of its own after special tokens, as it is trained.
        found = self._split(before, text, (text, f" {text}")) if before and text else None
        return self.encode(text) if found is None else found

    def _encode_inside(self, text: str) -> TokenIds:
        if not text:
            return ()
        splits = (self._split(anchor, text, (text,)) for anchor in self._ANCHORS)
        return next((ids for ids in splits if ids is not None), tuple(self._encode(text)))

    def _split(self, before: str, text: str, wanted: Sequence[str]) -> TokenIds | None:
        """Return the ids of `text` within those of both; None where a token lies across the seam.
        wanted: texts that they may decode to."""
        both, likely = self._encode(before + text), len(self._encode(before))
        places = range(max(0, likely - self._NEAR), likely + self._NEAR + 1)
        for place in sorted(places, key=lambda place: abs(place - likely)):
            ids = both[place:]
            if self.decode(ids) in wanted and self.decode(both[:place]).endswith(before):
                return tuple(ids)
        return None

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of ids, special tokens included."""
        text = self._decode([*self._anchor_ids, *token_ids])
        if text.startswith(self._anchor_text):
            return text[len(self._anchor_text) :]
        return self._decode(token_ids)
