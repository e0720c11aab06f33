"""What can be found wrong with a run before its model is loaded, which may take minutes."""

from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from lm_eval_tts.errors import SettingsError, unknown_name
from lm_eval_tts.settings import parse_settings, setting_names
from lm_eval_tts.strategies import Abilities, Strategy

# What a model needs beside what is installed with this package: packages, and how to have them.
_PACKAGES = {
    "tts-openai": (("aiohttp", "tenacity"), "pip install 'lm-eval[api]'"),
    "tts-vllm": (("vllm",), "pip install vllm"),
}


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
        return
    if (entry := index.get(task)) is None:
        return
    parts = (entry.cfg or {}).get("task", sorted(entry.tags))  # a tag has no config
    for part in [entry.cfg] if parts == task else parts:
        yield from _configs(part, index)
