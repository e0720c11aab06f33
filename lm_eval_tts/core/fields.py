"""Fields of a dataclass of settings: made of what users type, and held to what they allow."""

import re
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, field, fields
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from lm_eval_tts.errors import SettingsError, unknown_name

T = TypeVar("T")


class Accepted(NamedTuple):
    """Which values a setting may have."""

    test: Callable[[Any], object]
    words: str  # as in "allowed is a number > 0"


def at_least(least: float) -> Accepted:
    """Return what allows numbers from `least` on."""
    return Accepted(lambda value: value >= least, f"is a number >= {least}")


POSITIVE = Accepted(lambda value: value > 0, "is a number > 0")


def setting(default: T, allowed: Accepted | Collection[str]) -> T:
    """Return a field with this default; None, where it is the default, is always allowed.
    allowed: a test, or the names to choose from."""
    return field(default=default, metadata={"allowed": allowed})


def check_fields(settings: Any) -> None:
    """Raise SettingsError for the first field whose value is not allowed, with the nearest name."""
    for name, allowed in ((f.name, f.metadata.get("allowed")) for f in fields(settings)):
        value = getattr(settings, name)
        if allowed is None or value is None:
            continue
        if not isinstance(allowed, Accepted):
            if value not in allowed:
                raise unknown_name(name, value, allowed)
        elif not allowed.test(value):
            given = list(value) if isinstance(value, tuple) else value
            raise SettingsError(f"{name}={given!r}: allowed {allowed.words}")


def coerce(kind: type[Any], given: Mapping[str, Any]) -> Any:
    """Make a dataclass of values as the command line gives them: text, numbers, lists.
    Raises SettingsError for a value that is not of its field's type, or a missing one."""
    hints = get_type_hints(kind)
    for one in fields(kind):
        has_default = one.default is not MISSING or one.default_factory is not MISSING
        if one.init and not has_default and one.name not in given:
            raise SettingsError(f"{one.name}= is missing: {kind.__name__} has no default for it")
    # lm-eval makes None and True of these words; for a text they are no text, and the default.
    told = {
        name: value for name, value in given.items() if not (value is True and hints[name] is str)
    }
    return kind(**{name: _value(name, value, hints[name]) for name, value in told.items()})


# A list of words, which lm_eval leaves as text, as it leaves [false,true].
_WORDS = re.compile(r"\[(\w+(?:, *\w+)+)\]")
_NAMES: dict[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
}


def _value(name: str, value: Any, hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        if value is None or value == "None":
            return None
        (hint,) = [arg for arg in get_args(hint) if arg is not type(None)]
    if get_origin(hint) is tuple:
        words = _WORDS.fullmatch(value) if isinstance(value, str) else None
        items = words[1].replace(" ", "").split(",") if words else value
        items = items if isinstance(items, (list, tuple)) else [items]
        return tuple(_value(name, item, get_args(hint)[0]) for item in items if item is not None)
    if hint not in _NAMES:
        raise SettingsError(f"{name}: a setting of the type {hint} cannot be given as text")
    if (converted := scalar(value, hint)) is None:
        raise SettingsError(f"{name}={value!r}: allowed is {_NAMES[hint]}")
    return converted


def scalar(value: Any, hint: Any) -> Any:
    """Return the value as `hint`, or None if it is not one."""
    if hint is str:
        return "" if value is None or value is False else str(value)
    if hint is bool:
        return {"true": True, "false": False}.get(str(value).lower())
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if hint is float:
        return number
    return int(number) if number.is_integer() else None
