"""Which answers to any task are equal, for votes: those that its filter makes the same; of
programs, those that do the same on the inputs that their prompt gives."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from copy import copy
from typing import Any

from lm_eval_tts.core.voting import Classes
from lm_eval_tts.tasks.behaviour import behaviour_of, calls_in

# What lm_eval's filters return where they find nothing.
NOTHING_FOUND = ("", "[invalid]", "None", "[]", "['invalid']", "['[invalid]']")
KeysOf = Callable[[Any, list[Any]], Iterable[Hashable | None] | None]


class VoteClasses:
    """The classes of a task.
    ensembles: its filters, of which the first that takes a single response decides. keys_of: the
    task's own function, see `anytask`."""

    def __init__(self, ensembles: Sequence[Any], keys_of: KeysOf | None) -> None:
        self._ensembles, self._keys_of = ensembles, keys_of

    def of(self, instance: Any) -> Callable[[Sequence[str]], Classes]:
        """Return what finds the classes of answers to an instance."""
        return lambda answers: self.of_values(
            instance.doc, [self._filtered(instance, answer) for answer in answers]
        )

    def of_values(self, doc: Any, values: Sequence[Any]) -> list[int | None]:
        """Return the classes of filtered answers, None for none."""
        keys = self._keys_of and self._keys_of(doc, list(values))
        if keys is not None:
            return class_numbers(keys)
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


def by_behaviour(prompt_of: Callable[[Any], str]) -> KeysOf:
    """Return what distinguishes programs. prompt_of: a document to what its task shows of it; where
    that gives no inputs, the filter's output decides."""

    def keys(doc: Any, values: list[Any]) -> list[str | None] | None:
        calls = calls_in(prompt_of(doc))
        programs = [value[0] if isinstance(value, list) else value for value in values]
        return [behaviour_of(str(program), calls) for program in programs] if calls else None

    return keys


def class_numbers(keys: Iterable[Hashable | None]) -> list[int | None]:
    """Return a number for each key, the same for equal ones."""
    numbers: dict[Hashable, int] = {}
    return [None if key is None else numbers.setdefault(key, len(numbers)) for key in keys]
