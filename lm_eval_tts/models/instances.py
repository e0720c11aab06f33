"""lm_eval's instances: what is used of them, and which answer to which of them is which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol


class Instance(Protocol):
    """What is used of lm_eval.api.instance.Instance."""

    args: tuple[Any, ...]
    doc: Any
    doc_id: Any
    task_name: str | None
    repeats: int | None


class Key(NamedTuple):
    """One answer to one instance."""

    instance_id: int
    repeat: int
    """Counts from 0."""

    def original(self, instance: Instance) -> Key:
        """Return the key that a padding copy repeats."""
        return self._replace(repeat=self.repeat % (instance.repeats or 1))


def number_repeats(requests: Sequence[Instance]) -> list[tuple[Key, Instance]]:
    """Pair each request with its key; lm_eval repeats the same instance for each repeat."""
    seen: Counter[int] = Counter()
    numbered = []
    for instance in requests:
        numbered.append((Key(id(instance), seen[id(instance)]), instance))
        seen[id(instance)] += 1
    return numbered


def evens_out_ranks(key: Key, instance: Instance) -> bool:
    """Whether a request only evens out the work of several ranks."""
    return key.repeat >= (instance.repeats or 1)
