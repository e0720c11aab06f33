"""What a run achieved, in a few lines above lm_eval's table: how good, at what cost."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lm_eval_tts.core.metrics import METRIC
from lm_eval_tts.results.curve import is_choice
from lm_eval_tts.results.formats import figure_text
from lm_eval_tts.results.runs import Run, runs_in
from lm_eval_tts.results.statistics import count_interval

_SHARES = {name: METRIC[name] for name in ("format_strict", "truncated", "loop", "failed")}
# What lm_eval says of every task with more metrics than its file lists, or with metadata.
_NOISE = {
    "lm_eval.evaluator_utils": "No aggregation function defined for metric",
    "lm_eval.api.task": "Custom kwargs can be passed to `--metadata`",
}


def summary(content: Mapping[str, Any], output_path: str | None) -> str:
    """Return the lines of each task, where the files are and what can be typed next.
    content: what lm_eval has for a results file. output_path: as it was given."""
    runs = runs_in(Path(), content)
    return "\n".join([*(line for run in runs for line in _lines(run)), *_files(output_path), ""])


def _lines(run: Run) -> Iterator[str]:
    share = 0 <= run.accuracy <= 1
    low, high = count_interval(run.accuracy, run.num_graded)
    interval = f" % ({100 * low:.1f}-{100 * high:.1f})" if share and run.num_graded else ""
    score = f"{100 * run.accuracy:.1f}" if share else f"{run.accuracy:.4g}"
    asked = f", of {run.num_docs} asked" if run.num_graded != run.num_docs else ""
    yield f"{run.task}: {run.metric} {score}{interval} of {run.num_graded} problems{asked}"
    if curve := [*_by_budget(run), *_by_choice(run)]:
        yield f"  {', '.join(curve)}"
    sampled = run.metrics.get("sampled_tokens")
    figures = [f"{figure_text(sampled, 'count')} tokens sampled a problem"] if sampled else []
    figures += [
        f"{metric.compared or metric.heading} {figure_text(run.metrics[name], metric.unit)}"
        for name, metric in _SHARES.items()
        if name in run.metrics
    ]
    if figures:
        yield f"  {', '.join(figures)}"


def _by_budget(run: Run) -> list[str]:
    """Return the accuracy at each point of an anytime run, the cheapest first."""
    costs = [name for name in run.metrics if name.startswith("thinking_tokens@")]
    labels = [name.partition("@")[2] for name in sorted(costs, key=lambda n: run.metrics[n])]
    found = [(label, run.metrics.get(f"{run.metric}@{label}")) for label in labels]
    return [f"@{label} {100 * score:.1f}" for label, score in found if score is not None]


def _by_choice(run: Run) -> Iterable[str]:
    """Return what one sample, and all of them under each rule of choice, have scored."""
    names = [name for name in run.metrics if is_choice(name)]
    most = max((int(name.partition("@")[2]) for name in names), default=0)
    kept = [name for name in names if name == "pass@1" or name.endswith(f"@{most}")]
    return [f"{name} {100 * run.metrics[name]:.1f}" for name in kept]


def _files(output_path: str | None) -> Iterator[str]:
    if output_path is None:
        yield "No files: --output_path results --log_samples keeps them for lm-eval-tts to read."
        return
    folder = Path(output_path).parent if output_path.endswith(".json") else output_path
    yield f"Files: {folder}"
    yield (
        f"Next: lm-eval-tts show {folder} | lm-eval-tts leaderboard {folder} -o board.html | "
        f"lm-eval-tts curve {folder} | lm-eval-tts compare {folder} <another run>"
    )


@contextmanager
def filtering(names: Iterable[str], wanted: Callable[[logging.LogRecord], bool]) -> Iterator[None]:
    """Ask of each record of these loggers in this block whether it is wanted."""
    with ExitStack() as afterwards:
        for logger in map(logging.getLogger, names):
            logger.addFilter(wanted)
            afterwards.callback(logger.removeFilter, wanted)
        yield


def quiet() -> AbstractContextManager[None]:
    """Leave out what lm_eval says by itself and nobody can do anything about."""
    return filtering(_NOISE, lambda record: _NOISE[record.name] not in record.getMessage())
