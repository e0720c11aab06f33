"""Checks of settings that several strategies make."""

from __future__ import annotations

from collections.abc import Iterable

from lm_eval_tts.errors import SettingsError, unknown_name


def at_least(settings: object, least: float, *names: str) -> None:
    """Raise SettingsError for a setting below `least`, or a list with such a number or none."""
    for name in names:
        value = getattr(settings, name)
        if isinstance(value, tuple):
            if not value or min(value) < least:
                given = f"{name}={list(value)}"
                raise SettingsError(f"{given}: allowed are numbers >= {least}, at least one")
        elif value < least:
            raise SettingsError(f"{name}={value}: allowed is a number >= {least}")


def one_of(settings: object, name: str, allowed: Iterable[str]) -> None:
    """Raise SettingsError, with the nearest allowed text, for a setting that is none of them."""
    texts = tuple(allowed)
    if (value := getattr(settings, name)) not in texts:
        raise unknown_name(name, value, texts)


def positive(settings: object, name: str) -> None:
    """Raise SettingsError for a setting that is not above 0."""
    if not (value := getattr(settings, name)) > 0:
        raise SettingsError(f"{name}={value}: allowed is a number > 0")
