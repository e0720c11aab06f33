"""Before a model is loaded, which may take minutes: quick imports, and what can be found wrong."""

import gc
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from lm_eval_tts.errors import SettingsError, unknown_name
from lm_eval_tts.settings import parse_settings, setting_names
from lm_eval_tts.strategies import Abilities, Strategy

# What a model needs beside what is installed with this package: packages, and how to have them.
_PACKAGES = {
    "tts-openai": (("aiohttp", "tenacity"), "pip install 'lm-eval[api]'"),
    "tts-vllm": (("vllm",), "pip install vllm"),
}
# Keys and tokens come from the environment, because lm_eval logs and saves arguments.
SECRET = re.compile(
    r"(^|[_-])(token|key|secret|passw(or)?d|authorization|credentials?|bearer|sig|signature)$"
    r"|(api|access|secret|private)key$",
    re.IGNORECASE,
)
# Of lm_eval and of tokenizers, about the vocabulary; and settings that lack their last letter, of
# which another message says so.
_SPECIAL = ("bos", "eos", "pad", "unk", "sep", "cls", "mask", "prefix", "think_end", "add_bos")
_SETTINGS = ("max_thinking", "min_thinking", "thinking", "max_answer")
NO_SECRETS = frozenset(f"{name}_token" for name in (*_SPECIAL, *_SETTINGS))


@contextmanager
def without_collections() -> Iterator[None]:
    """Collect no garbage while modules are imported in this block, nor ever among what they made:
    it stays to the end, and looking through all of it a dozen times is a third of a start."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.freeze()
            gc.enable()


def check_packages(model: str) -> None:
    """Raise SettingsError where a model needs a package that is not installed."""
    names, remedy = _PACKAGES.get(model, ((), ""))
    if missing := [name for name in names if find_spec(name) is None]:
        raise SettingsError(f"{model} needs {' and '.join(missing)}: {remedy}")


def check_settings(
    model: str,
    model_args: Mapping[str, Any],
    gen_kwargs: Mapping[str, Any],
    tasks: Iterable[Any] = (),
    index: Mapping[str, Any] | None = None,
) -> None:
    """Check the settings of every task as they will be read. Raises SettingsError.
    tasks: names and configs. index: lm_eval's entries by name; others are left to lm_eval."""
    names = setting_names(gen_kwargs.get("strategy", model_args.get("strategy", "single")))
    defaults = {name: value for name, value in model_args.items() if name in names}
    tiny = model == "tts-hf" and not model_args.get("pretrained")  # brings a reward model along
    rated = tiny or bool(model_args.get("reward_model")) or model == "tts-replay"
    checked: list[dict[str, Any]] = []
    for config in (config for task in tasks for config in _configs(task, index or {})):
        if config.get("output_type") != "generate_until":
            continue
        given = {**defaults, **(config.get("generation_kwargs") or {}), **gen_kwargs}
        if given not in checked:
            checked.append(given)
            Strategy.check_model(parse_settings(given).strategy, Abilities(reward_model=rated))


def check_samples(samples: Iterable[str], tasks: Iterable[Any], index: Mapping[str, Any]) -> None:
    """Raise SettingsError for documents of a task that does not run. tasks, index: as above."""
    if known := {str(c.get("task")) for task in tasks for c in _configs(task, index)}:
        for name in set(samples) - known:
            raise unknown_name("task in --samples", name, known)


def _configs(task: Any, index: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the config of a task, or of all tasks of a group or tag."""
    if isinstance(task, Mapping):
        yield task
    elif entry := index.get(task):
        parts = (entry.cfg or {}).get("task", sorted(entry.tags))  # a tag has no config
        for part in [entry.cfg] if parts == task else parts:
            yield from _configs(part, index)


def refuse_secrets(value: Any, where: str = "model_args") -> None:
    """Raise SettingsError if there is a secret anywhere in an argument: by a name, or in a URL. It
    is never shown. where: the option that the argument was given in."""
    for what in _secrets_in(value):
        raise SettingsError(
            f"{what} in {where} would be written to the results: set it in the environment "
            "(HF_TOKEN for the Hub, OPENAI_API_KEY for a server)"
        )


def _secrets_in(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name in map(str, value):
            if SECRET.search(name) and name not in NO_SECRETS:
                yield f"{name}="
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _secrets_in(each)
    elif isinstance(value, str) and ("://" in value or "?" in value):
        with suppress(ValueError):  # no URL after all
            url = urlsplit(value)
            yield from _secrets_in(dict.fromkeys(name for name, _ in parse_qsl(url.query, True)))
            if url.password:
                yield "the password in a URL"
