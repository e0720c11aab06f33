"""Which answers to any task are equal, for votes: those of which its filter makes the same."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from copy import copy
from typing import Any

from lm_eval_tts.core.voting import Classes

# What lm_eval's filters return where they find nothing.
NOTHING_FOUND = ("", "[invalid]", "None", "[]", "['invalid']", "['[invalid]']")
KeysOf = Callable[[Any, list[Any]], Iterable[Hashable | None]]


class VoteClasses:
    """The classes of a task.
    ensembles: its filters, of which the first that takes a single response decides. keys_of: the
    task's own function, see `anytask`."""

    def __init__(self, ensembles: Sequence[Any], keys_of: KeysOf | None) -> None:
        self._ensembles, self._keys_of = ensembles, keys_of

    def of(self, instance: Any) -> Callable[[Sequence[str]], Classes]:
        """Return what tells the classes of answers to an instance."""
        return lambda answers: self.of_values(
            instance.doc, [self._filtered(instance, answer) for answer in answers]
        )

    def of_values(self, doc: Any, values: Sequence[Any]) -> list[int | None]:
        """Return the classes of filtered answers, None for none."""
        if self._keys_of is not None:
            return class_numbers(self._keys_of(doc, list(values)))
        texts = [str(value).strip() for value in values]
        return class_numbers(None if text in NOTHING_FOUND else text for text in texts)

    def _filtered(self, instance: Any, answer: str) -> Any:
        seen = copy(instance)
        for ensemble in self._ensembles:
            seen.resps, seen.filtered_resps = [answer], {}
            try:
                ensemble.apply([seen])
            except Exception:  # it needs more than one response
                continue
            return seen.filtered_resps[ensemble.name]
        return answer


def class_numbers(keys: Iterable[Hashable | None]) -> list[int | None]:
    """Return a number for each key, the same for equal ones."""
    numbers: dict[Hashable, int] = {}
    return [None if key is None else numbers.setdefault(key, len(numbers)) for key in keys]
