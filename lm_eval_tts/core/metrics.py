"""The one table of metrics: what each is called, which way is better, and where it is shown.

A new metric is a row here and the place where it is computed. Responses, the leaderboard and its
page, `compare`, `gate` and `curve` read the table; a test holds the task files to it."""

import math
from dataclasses import dataclass
from typing import Literal

Unit = Literal["count", "share", "seconds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure of a run, a mean over its documents."""

    name: str  # in results and samples files
    higher_is_better: bool = False
    unit: Unit = "count"  # a share is in [0, 1], shown in per cent
    usage: str = ""  # the field of `Usage` that it is, if it is one
    heading: str = ""  # of its column on the leaderboard, and the name of its check in the gate
    column: Literal["always", "asked"] | None = None  # asked: the page has it under "all columns"
    compared: str = ""  # what `compare` calls it; it leaves out a metric without such a name
    flag: str = ""  # what the page calls a sample that has it
    margin: float = math.inf  # the largest loss the gate accepts; of a count, a relative rise
    recorded: bool = True  # by our tasks for each document

    @property
    def words(self) -> str:
        """The name in words, as the axis of a plot has it."""
        return self.name.replace("_", " ")

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.higher_is_better else -1


METRICS = (
    # The one of a task's metrics that counts as its accuracy: exact_match, of tasks of ours.
    Metric(
        name="accuracy", higher_is_better=True, unit="share", heading="accuracy",
        compared="accuracy", margin=0.05, recorded=False,
    ),
    Metric(name="exact_match", higher_is_better=True, unit="share"),
    Metric(name="answered", higher_is_better=True, unit="share"),
    Metric(name="undecided", unit="share"),
    Metric(name="answer_in_thinking", unit="share"),
    Metric(
        name="sampled_tokens", usage="sampled", heading="sampled", column="always",
        compared="sampled tokens",
    ),
    Metric(
        name="thinking_tokens", usage="thinking", heading="thinking", column="always",
        compared="thinking tokens",
    ),
    Metric(name="answer_tokens", usage="answer", heading="answer", column="asked"),
    Metric(name="forced_tokens", usage="forced"),
    Metric(
        name="total_tokens", usage="total", heading="tokens", column="always", compared="tokens",
        margin=0.20,
    ),
    Metric(
        name="format_strict", higher_is_better=True, unit="share", heading="format",
        column="always", compared="in format", margin=0.05,
    ),
    Metric(name="format_soft", higher_is_better=True, unit="share"),
    Metric(
        name="loop", unit="share", heading="loops", column="always", compared="loops", flag="loop",
        margin=0.05,
    ),
    Metric(
        name="truncated", unit="share", usage="truncated", heading="cut off", column="always",
        compared="cut off", flag="cut off",
    ),
    Metric(
        name="thinking_truncated", unit="share", usage="thinking_truncated",
        heading="cut thinking", column="asked", flag="cut thinking",
    ),
    Metric(name="out_of_context", unit="share", usage="out_of_context"),
    Metric(name="failed", unit="share", heading="failed", column="asked"),
    Metric(name="engine_calls", usage="engine_calls", heading="calls", column="always"),
    Metric(name="scorer_calls", usage="scorer_calls"),  # recorded where a reward model rated
    Metric(name="scorer_tokens", usage="scorer_tokens"),
    Metric(name="scorer_unrated", usage="scorer_unrated"),
    Metric(name="waits", usage="waits"),
    # Of the whole command, from the results file.
    Metric(name="seconds", unit="seconds", heading="seconds", column="always", recorded=False),
)  # fmt: skip

METRIC = {metric.name: metric for metric in METRICS}
# What the gate checks, by the name of the check.
GATED = {metric.heading: metric for metric in METRICS if metric.margin < math.inf}
# What an accuracy may be set against: first what it cost, candidates and branches included.
COSTS = ("sampled_tokens", "total_tokens", "thinking_tokens")
