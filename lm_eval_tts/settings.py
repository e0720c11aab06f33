"""What users type, checked: generation_kwargs, --gen_kwargs and --model_args to typed settings.

lm-eval lays --gen_kwargs over a task's generation_kwargs; both lie over the model's own defaults
(--model_args). Names are lm-eval's and transformers' where they have one."""

import difflib
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

from lm_eval_tts import prompts
from lm_eval_tts.core.fields import Accepted, at_least, check_fields, coerce, setting
from lm_eval_tts.core.program import Sampling
from lm_eval_tts.core.trace import Delimiters
from lm_eval_tts.errors import SettingsError, unknown_name
from lm_eval_tts.strategies import Strategy, find_strategy
from lm_eval_tts.strategies.registry import named_strategies

logger = logging.getLogger(__name__)

MODES = ("enable_thinking", "reasoning_effort")
MAX_TOKENS_ALIASES = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")

_REPETITION = Accepted(lambda n: 0 < n < math.inf, "is a number > 0 (1 is off)")
_PENALTY = Accepted(lambda n: -2 <= n <= 2, "is a number in [-2, 2]")


def _one_of(*names: str) -> Accepted:
    listed = " and ".join(map(repr, names))
    return Accepted(names.__contains__, f"{'are' if len(names) > 1 else 'is'} {listed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The settings that every strategy has."""

    strategy: str = "single"
    """A name or place that `strategies.registry` knows."""
    preset: str | None = None
    """A published method, by a name of prompts.yaml or of `prompt_file`: its settings win."""
    prompt_style: str | None = None
    """A name of prompts.yaml or of `prompt_file`; None leaves the task's own prompt as it is."""
    prompt_file: str | None = None
    """A YAML file like prompts.yaml with more styles and delimiters."""
    instruction_role: str | None = setting(None, _one_of("system", "user"))
    """"system" or "user"; None: "system" where the chat template keeps it and its own."""
    delimiters: str | None = None
    """A preset's name; None: the model's own or the style's. The next four replace single ones."""
    thinking_start: str | None = None
    thinking_end: str | None = None
    answer_start: str | None = None
    answer_end: str | None = None
    cut_text: str | None = None
    """Ends a thought that the budget cuts, instead of thinking_end and answer_start."""
    until_thinking: str | None = None
    """Ends a forced thought where something shorter than thinking_end is enough."""
    thinking_tokens: int | None = setting(None, at_least(1))
    """What the style `token` asks for."""
    thinking_steps: int | None = setting(None, at_least(1))
    """What the style `step` asks for."""
    thinking_length: str | None = setting(None, _one_of("short", "long"))
    """What the style `class` asks for: "short" or "long"."""
    enable_thinking: tuple[bool, ...] = ()
    """Passed to the chat template; several values give the answer in each mode, from one run."""
    reasoning_effort: tuple[str, ...] = ()
    """As above."""
    until: tuple[str, ...] = ()
    """Stop strings of the answer."""
    max_gen_toks: int | None = setting(None, at_least(1))
    """Maximum tokens of a response."""
    do_sample: bool | None = None
    """False is greedy decoding, whatever the temperature."""
    sampling: str | None = setting(None, _one_of("model"))
    """"model" takes the next four as the checkpoint's generation config recommends."""
    temperature: float = setting(0.0, Accepted(lambda n: 0 <= n < math.inf, "is a number >= 0"))
    top_p: float = setting(1.0, Accepted(lambda n: 0 < n <= 1, "is a number in (0, 1]"))
    top_k: int = setting(0, Accepted(lambda n: n >= 0, "is a number >= 0 (0 is off)"))
    min_p: float = setting(0.0, Accepted(lambda n: 0 <= n <= 1, "is a number in [0, 1]"))
    repetition_penalty: float = setting(1.0, _REPETITION)
    frequency_penalty: float = setting(0.0, _PENALTY)
    presence_penalty: float = setting(0.0, _PENALTY)
    seed: int | None = None
    """For the whole run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that decides how one request is answered."""

    strategy: Strategy
    style: prompts.PromptStyle | None  # None leaves the prompt alone
    instruction: str
    instruction_role: str | None
    delimiters: Delimiters
    sampling: Sampling
    # What is passed to the chat template in each reasoning mode, by the mode's label.
    modes: Mapping[str, Mapping[str, Any]]
    until: tuple[str, ...]
    max_gen_toks: int | None  # None where the user gave none, as of the seed
    seed: int | None


def names_in(kind: type[Any]) -> frozenset[str]:
    """Return the names of the settings that a dataclass has."""
    return frozenset(field.name for field in fields(kind) if field.init)


def setting_names(strategy: Any = "single") -> frozenset[str]:
    """Return every name that this strategy, or one of those with a name, accepts."""
    kinds: list[type[Any]] = [Common, find_strategy(str(strategy)), *named_strategies().values()]
    return frozenset(MAX_TOKENS_ALIASES).union(*map(names_in, kinds))


def take_settings(kwargs: dict[str, Any], known: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Take the strategy settings out of model arguments and check them.
    known: the model's own arguments. Raises SettingsError for a name that is nearly, but not
    quite, one of ours or of these: the loader would only say that its keyword is unexpected."""
    names = setting_names(kwargs.get("strategy", "single"))
    taken = {name: kwargs.pop(name) for name in list(kwargs) if name in names}
    for name in kwargs.keys() - known:
        nearest = difflib.get_close_matches(name, names | known, n=1, cutoff=0.85)
        if nearest:
            raise SettingsError(f"unknown model argument {name!r}: did you mean {nearest[0]!r}?")
    if taken:
        parse_settings(taken)
    return taken


def parse_settings(
    given: Mapping[str, Any],
    family: str | None = None,
    recommended: Mapping[str, Any] | None = None,
) -> Settings:
    """Check what the user gave and return the settings.
    family: the preset of a model with its own way of thinking. recommended: the sampling that
    its generation config has, if it is known by now.
    A setting of another strategy has no effect, with a warning: --gen_kwargs and --model_args
    are given to all tasks of a run. Raises SettingsError for anything else that is wrong, naming
    what was given and what is allowed."""
    given = _with_preset(_in_our_names(given))
    if given.get("sampling") == "model":
        given = {**given, **(recommended or {"temperature": 1.0}), "do_sample": True}
    name = str(given.get("strategy", "single"))
    kind = find_strategy(name)
    own, shared = names_in(kind), names_in(Common)
    for key in given.keys() - own - shared:
        if key not in setting_names():
            raise unknown_name(f"setting of strategy {name!r}", key, own | shared)
        logger.warning("%s=%s has no effect with strategy %r", key, given[key], name)
    common = coerce(Common, {k: v for k, v in given.items() if k in shared and k not in own})
    strategy = coerce(kind, {k: v for k, v in given.items() if k in own})
    settings = _settings(common, strategy, family)
    strategy.check(settings.delimiters, settings.sampling)
    return settings


def _with_preset(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Lay a published method's settings, as far as the strategy has them, over all others."""
    if (name := given.get("preset")) is None:
        return given
    preset = prompts.load_prompts(given.get("prompt_file")).method(str(name))
    strategy = str(preset["all"].get("strategy", given.get("strategy", "single")))
    known = names_in(find_strategy(strategy)) | names_in(Common)
    wanted = {**preset["all"], **preset.get(strategy, {})}
    for key in wanted.keys() - known:
        if key not in setting_names():
            raise unknown_name(f"setting of preset {name!r}", key, known)
        del wanted[key]
    for key, value in wanted.items():
        if key in given and str(given[key]) != str(value):
            logger.warning("preset=%s has %s=%s: %s has no effect", name, key, value, given[key])
    return {**given, **wanted}


def _in_our_names(given: Mapping[str, Any]) -> dict[str, Any]:
    """Read lm-eval's aliases of max_gen_toks, in its order of precedence, and drop its num_beams,
    which some of its tasks set."""
    if str(given.get("num_beams", 1)) != "1":
        logger.warning(
            "num_beams=%s has no effect: there is no beam search of tokens", given["num_beams"]
        )
    rest = {k: v for k, v in given.items() if k not in (*MAX_TOKENS_ALIASES, "num_beams")}
    values = [given[alias] for alias in MAX_TOKENS_ALIASES if given.get(alias) is not None]
    return rest | ({"max_gen_toks": values[0]} if values else {})


def _settings(common: Common, strategy: Strategy, family: str | None) -> Settings:
    check_fields(common)
    if common.do_sample and common.temperature == 0:
        raise SettingsError("do_sample=True with temperature=0: set temperature > 0")
    sampling = Sampling(**{field.name: getattr(common, field.name) for field in fields(Sampling)})
    if common.do_sample is False:  # as in lm-eval, greedy whatever the temperature
        sampling = replace(sampling, temperature=0.0)
    known = prompts.load_prompts(common.prompt_file)
    style = known.style(common.prompt_style) if common.prompt_style else None
    named = common.delimiters or family or (style.delimiters if style else "none")
    marks = {field.name: getattr(common, field.name) for field in fields(Delimiters)}
    given = {name: text for name, text in marks.items() if text is not None}
    delimiters = replace(known.preset(named), **given)
    if style:
        style = prompts.worded_for(style, delimiters, bool(family) and not common.delimiters)
    values = {name: getattr(common, name) for name in prompts.PLACEHOLDERS}
    return Settings(
        strategy=strategy,
        style=style,
        instruction=prompts.fill_instruction(style, delimiters, values) if style else "",
        instruction_role=common.instruction_role,
        delimiters=delimiters,
        sampling=sampling,
        modes=_modes(common),
        until=tuple(text for text in common.until if text),
        max_gen_toks=common.max_gen_toks,
        seed=common.seed,
    )


def _modes(common: Common) -> dict[str, dict[str, Any]]:
    """Return each combination of the switches' values, labelled by those that vary."""
    given = {name: values for name in MODES if (values := getattr(common, name))}
    modes = [dict(zip(given, values, strict=True)) for values in product(*given.values())]
    varied = [name for name, values in given.items() if len(values) > 1]
    words = {True: "thinking", False: "no_thinking"}
    return {"-".join(words.get(m[name], m[name]) for name in varied): m for m in modes if m}


def take_switches(given: dict[str, Any]) -> dict[str, Any]:
    """Take out of settings the switches that have one value, for all that a template renders."""
    common = coerce(Common, {name: given[name] for name in MODES if name in given})
    single = {name: values[0] for name in MODES if len(values := getattr(common, name)) == 1}
    for name in single:
        del given[name]
    return single
