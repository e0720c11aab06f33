"""Prompt styles and delimiters, read from YAML, and the chat messages made of them.

The texts are data (`prompts.yaml`, and a user's own file of the same form). This module knows
nothing of tokens, models or benchmarks."""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from lm_eval_tts.core.trace import Delimiters
from lm_eval_tts.errors import SettingsError, looked_up, unknown_name

PLACEHOLDERS = ("thinking_tokens", "thinking_steps", "thinking_length")
Message = dict[str, str]
Method = Mapping[str, Mapping[str, Any]]  # settings by strategy, "all" among these
T = TypeVar("T")
SECTIONS = ("styles", "delimiters", "families", "presets")


@dataclass(frozen=True, slots=True)
class PromptStyle:
    """How a question is put; see the head of `prompts.yaml` for the fields."""

    instruction: str = ""
    thinking_instruction: str = ""
    question: str = "{question}"
    delimiters: str = "none"

    def __post_init__(self) -> None:
        if "{question}" not in self.question:
            raise SettingsError(f"question text {self.question!r} has no {{question}} in it")
        if "{{question}}" in self.question:  # as in lm-eval's doc_to_text
            raise SettingsError(
                f"question text {self.question!r}: write {{question}}, no {{{{ }}}}"
            )
        if "{question}" in self.instruction:
            raise SettingsError("{question} belongs in the question, not the instruction")
        known = [*PLACEHOLDERS, *(field.name for field in fields(Delimiters))]
        self._check("an instruction", self.instruction, known, known)
        self._check("a question", self.question, ["question"], [*known, "question"])

    def _check(self, kind: str, text: str, allowed: list[str], near: list[str]) -> None:
        for name in re.findall(r"{(\w+)}", text):
            # Other words in braces may be meant, as in LaTeX.
            if name not in allowed and difflib.get_close_matches(name, near, n=1, cutoff=0.82):
                raise unknown_name(f"placeholder in {kind}", name, allowed)


@dataclass(frozen=True, slots=True)
class FamilyRule:
    """How models with a way of thinking are recognized; see `families` in `prompts.yaml`."""

    delimiters: str = "none"
    template: str = ""
    prompt: str = ""
    token: str = ""
    question: str = ""

    def fits(self, template: str, prompt: str, tokens: Collection[str]) -> bool:
        """Say whether the marks are in a chat template, a prompt made by it, and its tokens."""
        has_marks = self.template in template and self.prompt in prompt
        return has_marks and (not self.token or self.token in tokens)


@dataclass(frozen=True, slots=True)
class Prompts:
    """The styles, delimiters and published methods at hand, by name, and the families of models."""

    styles: Mapping[str, PromptStyle]
    delimiters: Mapping[str, Delimiters]
    families: tuple[FamilyRule, ...] = ()
    methods: Mapping[str, Method] = field(default_factory=dict)

    def style(self, name: str) -> PromptStyle:
        """Return a style. Raises SettingsError for an unknown name."""
        return looked_up("prompt_style", name, self.styles)

    def method(self, name: str) -> Method:
        """Return a published method's settings. Raises SettingsError for an unknown name."""
        return looked_up("preset", name, self.methods)

    def preset(self, name: str) -> Delimiters:
        """Return a delimiter preset. Raises SettingsError for an unknown name."""
        return looked_up("delimiters", name, self.delimiters)


@cache
def load_prompts(prompt_file: str | None = None) -> Prompts:
    """Return the package's prompts, with those of a user's YAML file over them.
    Raises SettingsError if the file cannot be read or has an unknown section or field."""
    built_in = _read(Path(__file__).with_name("prompts.yaml"))
    own = _read(Path(prompt_file).expanduser()) if prompt_file else Prompts({}, {})
    return Prompts(
        {**built_in.styles, **own.styles},
        {**built_in.delimiters, **own.delimiters},
        own.families + built_in.families,
        {**built_in.methods, **own.methods},
    )


def _read(path: Path) -> Prompts:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"prompt_file {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise SettingsError(f"prompt_file {path}: expected the sections styles and delimiters")
    for section in content:
        if section not in SECTIONS:
            raise unknown_name(f"section of {path}", str(section), SECTIONS)
    return Prompts(
        {n: _make(PromptStyle, n, v, path) for n, v in (content.get("styles") or {}).items()},
        {n: _make(Delimiters, n, v, path) for n, v in (content.get("delimiters") or {}).items()},
        tuple(_make(FamilyRule, "families", v, path) for v in content.get("families") or ()),
        {n: _method(n, v, path) for n, v in (content.get("presets") or {}).items()},
    )


def _method(name: str, values: Any, path: Path) -> Method:
    if not isinstance(values, dict) or not all(isinstance(v, dict) for v in values.values()):
        raise SettingsError(f"{path}: preset {name!r} must have settings by strategy, or for all")
    return {"all": {}, **values}


def _make(kind: type[T], name: str, values: Any, path: Path) -> T:
    allowed = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # both dataclasses
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: {name!r} must have some of the fields {', '.join(allowed)}")
    for key, value in values.items():
        if key not in allowed:
            raise unknown_name(f"field of {name!r} in {path}", str(key), allowed)
        if not isinstance(value, str):
            raise SettingsError(f"{path}: {name}.{key} must be a text, not {value!r}")
    return kind(**values)


def worded_for(style: PromptStyle, marks: Delimiters, thinks_by_itself: bool) -> PromptStyle:
    """Return the style with the instruction that names no tags, where it has one and needs it.
    A model that thinks by itself knows its tags, and not every model has all that a style names."""
    lacks = any(
        f"{{{name}}}" in style.instruction for name, text in asdict(marks).items() if not text
    )
    if style.thinking_instruction and (thinks_by_itself or lacks):
        return replace(style, instruction=style.thinking_instruction)
    return style


def fill_instruction(
    style: PromptStyle, delimiters: Delimiters, values: Mapping[str, object]
) -> str:
    """Return a style's instruction with its placeholders filled; other braces stay as they are.
    Raises SettingsError for a placeholder whose setting was not given."""
    marks = {name: text.strip() for name, text in asdict(delimiters).items()}
    known = marks | {name: values.get(name) for name in PLACEHOLDERS}

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if known[name] in (None, ""):
            raise SettingsError(
                f"the prompt style needs {name}: set {name}= in gen_kwargs or model_args"
            )
        return str(known[name])

    return re.sub("{(" + "|".join(known) + ")}", fill, style.instruction)


def build_messages(
    history: Sequence[Message], style: PromptStyle, instruction: str, role: str
) -> list[Message]:
    """Put a style around a chat history whose last user turn is the question.
    role: "system" or "user", where the instruction goes. A system message that is already there
    is kept, in front; so is the beginning of an answer (`gen_prefix`) at the end."""
    messages = [dict(message) for message in history]
    first, last = messages[0], question_turn(messages)
    last["content"] = style.question.replace("{question}", last["content"])
    if instruction and role == "user":
        last["content"] = f"{instruction}\n\n{last['content']}"
    elif instruction and first["role"] == "system":
        first["content"] = f"{first['content']}\n\n{instruction}"
    elif instruction:
        messages.insert(0, {"role": "system", "content": instruction})
    return messages


def question_turn(messages: Sequence[Message]) -> Message:
    """Return the last user turn, after which the beginning of an answer may stand."""
    return next((m for m in reversed(messages) if m["role"] == "user"), messages[-1])


def without_system(messages: Sequence[Message]) -> list[Message]:
    """Move a system message in front of the first user turn, for templates that refuse it."""
    if messages[0]["role"] != "system":
        return list(messages)
    system, first, *rest = messages
    return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest]


def plain_prompt(messages: Sequence[Message]) -> str:
    """Return a prompt for a model without a chat template."""
    begun = messages[-1]["role"] == "assistant"  # by a task's gen_prefix
    return "\n\n".join(message["content"] for message in messages) + ("" if begun else "\n\n")
