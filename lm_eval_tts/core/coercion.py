"""What users type, text and numbers and lists, as the fields of a dataclass."""

import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Union, get_args, get_origin, get_type_hints

from lm_eval_tts.errors import SettingsError


def coerce(kind: type[Any], given: Mapping[str, Any]) -> Any:
    """Make a dataclass of values as the command line gives them: text, numbers, lists.

    Raises SettingsError for a value that is not of its field's type, or a missing one.
    """
    hints = get_type_hints(kind)
    for field in fields(kind):
        has_default = field.default is not MISSING or field.default_factory is not MISSING
        if field.init and not has_default and field.name not in given:
            raise SettingsError(f"{field.name}= is missing: {kind.__name__} has no default for it")
    # lm-eval makes None and True of these words; for a text they are no text, and the default.
    told = {
        name: value for name, value in given.items() if not (value is True and hints[name] is str)
    }
    return kind(**{name: _value(name, value, hints[name]) for name, value in told.items()})


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
    if (converted := _scalar(value, hint)) is None:
        raise SettingsError(f"{name}={value!r}: allowed is {_NAMES[hint]}")
    return converted


# A list of words, which lm_eval leaves as text, as it leaves [false,true].
_WORDS = re.compile(r"\[(\w+(?:, *\w+)+)\]")
_NAMES: dict[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
}


def _scalar(value: Any, hint: Any) -> Any:
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
