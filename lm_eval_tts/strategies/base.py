"""What every strategy is, and what it may need of a model, declared so that drivers can read it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from lm_eval_tts.core.fields import check_fields
from lm_eval_tts.core.program import Program, Sampling
from lm_eval_tts.core.trace import Delimiters, Request, Trace
from lm_eval_tts.errors import SettingsError


class LogprobKind(IntEnum):
    """Which log-probabilities of its tokens a model reports; a kind includes those before it."""

    NONE = 0
    SAMPLED = 1  # of the token that was drawn
    TOP = 2  # of the likeliest tokens in its place
    VOCABULARY = 3  # the mean over the whole vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a model can do for a strategy; the defaults are what a local checkpoint can."""

    name: str = "this model"  # for messages
    # It takes a prompt in tokens or text, so that a begun response can be continued.
    continues: bool = True
    logprobs: LogprobKind = LogprobKind.VOCABULARY  # the log-probabilities that it reports
    masks_strings: bool = True  # it can mask an ending of several tokens, not of one token alone
    reward_model: bool = False  # a reward model is loaded with it
    policy_size: float | None = None  # its parameters in billions, where they are known
    # Raises RequestError for settings that it does not take.
    check_sampling: Callable[[Sampling], object] = lambda sampling: None


class Strategy(ABC):
    """Answers one request. A subclass is a frozen dataclass whose fields are its settings.

    Only `run` must be written. Fields are of type bool, int, float or str, tuples of one of these,
    or one of these or None, and have defaults; SettingsError is raised for values out of range, by
    what `core.fields.setting` says of one, by `__post_init__` where several must agree. What it
    needs of a model is declared by the properties, as a property or as a plain class attribute,
    `needs_continuation = False`."""

    # Whether a table of compute_optimal may choose it: a `SampleStrategy` whose `propose` keeps to
    # the budget of `n` samples and whose `select` takes samples that were drawn before.
    answers_within_n: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_fields(self)

    @abstractmethod
    def run(self, request: Request) -> Program[Trace]:
        """Return the program that answers one request."""

    @property
    def needs_continuation(self) -> bool:
        """Whether it continues a begun response, which chat completions cannot."""
        return True

    @property
    def needs_reward_model(self) -> bool:
        """Whether it asks a reward model."""
        return "reward" in self.score_names

    @property
    def needs_logprobs(self) -> LogprobKind:
        """The log-probabilities that it reads."""
        return LogprobKind.NONE

    @property
    def needs_thinking_end(self) -> bool:
        """Whether it has to see or write the end of thinking."""
        return False

    @property
    def masks_thinking_end(self) -> bool:
        """Whether it has the end of a thought masked."""
        return False

    @property
    def point_labels(self) -> tuple[str, ...]:
        """Names of the points that a run reports on the way."""
        return ()

    @property
    def num_samples(self) -> int:
        """Candidates of a problem that are independent samples of one program, each as good as
        another; 0 where there are none."""
        return 0

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of the candidates' scores; "reward" is that of a reward model."""
        return ()

    @property
    def name(self) -> str:
        """What messages call it: the name of its file."""
        return type(self).__module__.rpartition(".")[2]

    def check(self, delimiters: Delimiters, sampling: Sampling) -> None:
        """Raise SettingsError if it cannot work with these."""
        if self.needs_thinking_end and not delimiters.thinking_end.strip():
            raise SettingsError(
                f"strategy {self.name!r} needs a thinking_end, but the delimiters have none: "
                "set delimiters= to a preset such as 'think', or thinking_end= to a text"
            )

    def check_model(self, model: Abilities) -> None:
        """Raise SettingsError if it needs what a model cannot do. Called before the first token."""
        if self.needs_reward_model and not model.reward_model:
            raise SettingsError(
                "the strategy needs a reward model: set reward_model= in model_args"
            )
        if self.needs_continuation and not model.continues:
            raise SettingsError(
                f"strategy {self.name!r} continues a response, but {model.name} has chat "
                "completions only: use a server with /v1/completions, or one of single, "
                "self_consistency and best_of_n without max_thinking_tokens"
            )
        if self.needs_logprobs > model.logprobs:
            needed, reported = self.needs_logprobs.name.lower(), model.logprobs.name.lower()
            raise SettingsError(
                f"strategy {self.name!r} needs log-probabilities ({needed}), but {model.name} "
                f"reports fewer ({reported}): choose another score_by= or strategy="
            )
