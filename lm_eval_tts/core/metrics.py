"""The one table of metrics: what each is called, which way is better, and where it is shown.

A new metric is a row of metrics.yaml and the place where it is computed. Responses, the leaderboard
and its page, `compare`, `gate` and `curve` read the table; a test holds the task files to it."""

import math
from dataclasses import dataclass
from typing import Literal

from lm_eval_tts.core.disk import read_yaml

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
    meaning: str = ""  # of its column, in words
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


METRICS = tuple(Metric(**row) for row in read_yaml("core/metrics.yaml"))
METRIC = {metric.name: metric for metric in METRICS}
# What the gate checks, by the name of the check.
GATED = {metric.heading: metric for metric in METRICS if metric.margin < math.inf}
# What an accuracy may be set against: first what it cost, candidates and branches included.
COSTS = ("sampled_tokens", "total_tokens", "thinking_tokens")
