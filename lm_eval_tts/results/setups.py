"""What answered a run, as its results file says: equal for runs that only repeat each other."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from lm_eval_tts.core.identity import decides, mapping_in
from lm_eval_tts.results.files import Content

# What a setup has a field for; `until` is the task's, and says nothing of who answers.
_CHECKPOINT = ("pretrained", "path", "model", "peft", "lora_local_path", "revision")
_FIELDS = frozenset((*_CHECKPOINT, "prompt_style", "strategy", "seed", "until"))
# Values that are what a run does without the setting.
_DEFAULTS = {"do_sample": (False, None), "temperature": (0, None), "top_p": (1, None)}


@dataclass(frozen=True, slots=True)
class Setup:
    """What answered: a checkpoint with its adapter, a prompt style and a strategy."""

    model: str  # lm-eval's --model
    checkpoint: str
    adapter: str | None = None
    revision: str | None = None
    prompt_style: str | None = None  # None for models that have none
    strategy: str | None = None  # None for models that have none
    settings: tuple[tuple[str, str], ...] = ()  # all else that decides what is answered, by name
    seed: str | None = None  # of the run

    @property
    def settings_text(self) -> str:
        """The settings in one line."""
        return ", ".join(f"{name}={value}" for name, value in self.settings)

    def record(self) -> dict[str, Any]:
        """The setup as plain data, its settings in one line."""
        return {**asdict(self), "settings": self.settings_text}

    @property
    def method(self) -> str:
        """The strategy; the model's kind where it has none."""
        return self.strategy or self.model

    def weights(self, checkpoint: str | None = None) -> str:
        """The checkpoint with its adapter and revision. checkpoint: a shorter name of it."""
        adapter = f" + {self.adapter}" if self.adapter else ""
        revision = f" @ {self.revision[:8]}" if self.revision else ""
        return (checkpoint or self.checkpoint) + adapter + revision


def setup_of(content: Content, config: Content, num_fewshot: int | None) -> Setup:
    """Return the setup of a task. content: of the results file. config: of the task in it."""
    run = mapping_in(content, "config")
    model = str(run.get("model") or content.get("model_source") or "unknown")
    arguments = _arguments(run.get("model_args"))
    ours, recorded = model.startswith("tts-"), model == "tts-replay"
    given = {k: v for k, v in arguments.items() if decides(k)}
    given |= mapping_in(config, "generation_kwargs")
    settings = {k: given[k] for k in given.keys() - _FIELDS if given[k] not in _DEFAULTS.get(k, ())}
    of_prompt = {  # what the command line made of the prompts; ours apply the template anyway
        "num_fewshot": num_fewshot,
        "chat_template": "applied" if content.get("chat_template_sha") and not ours else None,
        "system_instruction_sha": content.get("system_instruction_sha"),
    }
    settings |= {name: value for name, value in of_prompt.items() if value}
    if recorded:  # what was set then is not known
        given, settings = {"strategy": "recorded"}, {}
    # A recording names no checkpoint, so its file (path) stands for it.
    named = run.get("pretrained"), *map(arguments.get, ("pretrained", "path", "model"))
    return Setup(
        model=model,
        checkpoint=str(next(filter(None, (*named, content.get("model_name"), "unknown")))),
        adapter=as_text(
            run.get("peft") or arguments.get("peft") or arguments.get("lora_local_path")
        ),
        revision=as_text(arguments.get("revision") or as_text(run.get("model_sha"))),
        prompt_style=as_text(given.get("prompt_style")) if ours else None,
        strategy=as_text(given.get("strategy", "single")) if ours else None,
        settings=tuple(sorted((name, _plain(value)) for name, value in settings.items())),
        seed=as_text(given.get("seed", run.get("torch_seed"))),
    )


def _arguments(given: Any) -> dict[str, Any]:
    """Return model arguments: a mapping, or before 0.4.9 a text `a=1,b=[2,3]`."""
    if isinstance(given, dict):
        return dict(given)
    parts = re.split(r",(?=[^,\[]*=)", str(given or ""))  # other commas are within a value
    return {name: value for name, _, value in (p.partition("=") for p in parts) if name}


def as_text(value: Any) -> str | None:
    """Return a value as one line of text; None for what is not set."""
    return None if value in (None, "", False) else _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).replace(" ", "") if isinstance(value, (list, tuple)) else str(value)
    return text.replace("\n", r"\n")  # a step_delimiter, in one line


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return each path or Hub name by its last parts, as many as keep them apart. A Hub name
    (`owner/name`) stays whole."""
    unique = sorted(set(names))
    parts = {name: PurePosixPath(name.replace("\\", "/")).parts or (name,) for name in unique}
    short = {n: n if len(parts[n]) == 2 and n[0] not in "./~" else parts[n][-1] for n in unique}
    for length in range(2, max(map(len, parts.values()), default=0) + 1):
        taken = list(short.values())
        for name in unique:
            if taken.count(short[name]) > 1:
                short[name] = "/".join(parts[name][-length:])
    return short
