"""A tour of the small world: runs what shows each finding of test-time scaling, and says if seen.

    python scripts/tour.py --output results/tour

prints a line for each finding (claim, figures, 95 % intervals, seen or not) and writes tour.html.
`--checkpoints models/world` measures what `make world` trained, not what comes with the package.
What was measured is kept in the output folder, so a tour that was interrupted goes on. It has two
processes, of a thread each: one measures from the first finding on, the other from the last one.
`--split validation` measures on the problems that settings were chosen by, not on the test split.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import json
import logging
import math
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lm_eval
import numpy as np
import torch
import tour_findings as findings
from filelock import FileLock
from lm_eval.tasks import TaskManager
from safetensors import safe_open
from tour_findings import Array, Finding, Policy, Searched, Styled

from lm_eval_tts.checkpoints import FOLDER
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.harness.names import task_configs
from lm_eval_tts.models.hf import TTSHF

SMALL, LARGE, PRM = "world-small", "world-large-sft", "world-prm"
CHECKING, PLAIN, HOT = "world-small-sft", "world-small-plain", "world-small-hot"
HASTY = "world-small-hasty"
GRPO, HACKED = f"{CHECKING}+world-small-grpo", f"{CHECKING}+world-small-hacked"
BUDGETS = (8, 16, 32, 64, 128, 256)
NUM_WAITS = 3
SAMPLED = {"do_sample": True, "temperature": 1.0}
SAMPLES = (1, 2, 4, 8)
CANDIDATES = {**SAMPLED, "n": SAMPLES[-1]}
EASY, HARD = (1, 2), (4, 5)  # levels
WIDEST = 16  # candidates, of the largest search
PROBES = 4  # samples that tell how hard a problem is
LIMIT = 32  # tokens, too few for half of the problems
KNOWN = 200  # problems of the validation split, to choose by

Columns = dict[str, list[float]]  # a metric's values, by document


class World:
    """Measures policies and remembers it; folder: where; num_docs: problems of the split."""

    def __init__(
        self, checkpoints: Path, folder: Path, reward_model: str, split: str, num_docs: int
    ) -> None:
        self._checkpoints, self._folder, self._num_docs = checkpoints, folder, num_docs
        self._reward_model = reward_model
        self._split = split
        self._tasks = TaskManager(
            include_path=task_configs(), include_defaults=False, metadata={"split": split}
        )
        self._models: dict[str, TTSHF] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def other(self, split: str, num_docs: int) -> World:
        """Return the world with the problems of another split."""
        return World(self._checkpoints, self._folder, self._reward_model, split, num_docs)

    def path(self, name: str) -> str:
        """Return the folder of a checkpoint. Raises SettingsError if there is none."""
        if not (path := self.found(name)):
            raise SettingsError(f"there is no checkpoint {name}: it is made by `make world`")
        return path

    def found(self, name: str) -> str | None:
        """Return the folder of a checkpoint, or None."""
        folder = self._checkpoints / name
        return str(folder) if list(folder.glob("*model.safetensors")) else None

    def measure(self, name: str, task: str, **settings: Any) -> dict[str, Array]:
        """Return the metrics of a policy on a task, of each document.
        name: a checkpoint, or with its adapter as "checkpoint+adapter"."""
        with_what = [name, self._reward_model, task, settings, self._split, self._num_docs]
        asked = json.dumps(with_what, sort_keys=True)
        kept = self._folder / f"{hashlib.sha256(asked.encode()).hexdigest()[:16]}.json"
        with FileLock(kept.with_suffix(".lock")):
            if not kept.exists():
                columns = self._run(name, task, settings)
                kept.write_text(json.dumps({"asked": asked, "columns": columns}), encoding="utf-8")
        columns = json.loads(kept.read_text(encoding="utf-8"))["columns"]
        return {name: np.array(values, float) for name, values in columns.items()}

    def model(self, checkpoint: str) -> TTSHF:
        """Return a checkpoint with the reward model, loaded once."""
        if checkpoint not in self._models:
            reward_model = self.found(self._reward_model)
            own = {"reward_model": reward_model} if reward_model else {}
            self._models[checkpoint] = TTSHF(
                self.path(checkpoint), batch_size=256, device="cpu", **own
            )
        return self._models[checkpoint]

    def _run(self, name: str, task: str, settings: Mapping[str, Any]) -> Columns:
        checkpoint, _, adapter = name.partition("+")
        model = self.model(checkpoint)
        model.use_adapter(self.path(adapter) if adapter else None)
        results = lm_eval.simple_evaluate(
            model=model,
            tasks=[task],
            gen_kwargs=dict(settings) or None,
            limit=self._num_docs,
            bootstrap_iters=0,
            task_manager=self._tasks,
        )
        samples = sorted(results["samples"][task], key=lambda sample: int(sample["doc_id"]))
        names = [name for name, value in samples[0].items() if isinstance(value, (int, float))]
        columns = {name: [float(sample[name]) for sample in samples] for name in names}
        if "candidates" in samples[0]["answered"]:
            columns["agreement"] = [agreement(classes(sample)) for sample in samples]
            columns["distinct"] = [float(len(set(classes(sample)))) for sample in samples]
        return {**columns, "level": [float(sample["doc"]["level"]) for sample in samples]}

    def flops(self, base: str, metrics: Mapping[str, Array]) -> Array:
        """Return about what a run cost: 2 FLOPs for each parameter and token that was sampled by
        the policy or read by the reward model."""
        read = metrics.get("scorer_tokens", np.zeros(1))
        return 2 * (
            self._size(base) * metrics["sampled_tokens"] + self._size(self._reward_model) * read
        )

    def _size(self, name: str) -> int:
        path = Path(self.path(name)) / "model.safetensors"
        with safe_open(path, "pt") as weights:
            names = weights.keys()
            return sum(math.prod(weights.get_slice(name).get_shape()) for name in names)


def classes(sample: Mapping[str, Any]) -> list[Any]:
    """Return the class of each candidate's answer."""
    return [candidate["class"] for candidate in sample["answered"]["candidates"]]


def agreement(answers: Sequence[Any]) -> float:
    """Return the share of the probes that have the commonest answer."""
    probes = list(answers[:PROBES])
    return max(map(probes.count, probes)) / len(probes)


def budget_scaling(world: World) -> Finding:
    """Measure finding 1."""
    curve = world.measure(CHECKING, "dial_budget", max_thinking_tokens=list(BUDGETS))
    return findings.budget_scaling({b: curve[f"exact_match@{b}"] for b in BUDGETS})


def waits(world: World, name: str) -> list[Array]:
    """Return scores after 0, 1 ... waits."""
    metrics = world.measure(name, "dial_progressive", num_waits=NUM_WAITS, **SAMPLED)
    return [metrics[f"exact_match@wait{level}"] for level in range(NUM_WAITS + 1)]


def waiting(world: World) -> Finding:
    """Measure finding 2."""
    return findings.waiting(waits(world, CHECKING), waits(world, PLAIN))


def drafts(world: World) -> Finding:
    """Measure finding 3."""
    runs = [world.measure(CHECKING, f"dial_{style}") for style in ("cot", "cod", "standard")]
    return findings.drafts(*(Styled(run["exact_match"], run["sampled_tokens"]) for run in runs))


def formatting(world: World) -> Finding:
    """Measure finding 4."""
    base = world.measure(SMALL, "dial_r1")["format_strict"]
    return findings.formatting(base, *(policy(world, name) for name in (CHECKING, HOT)))


def policy(world: World, name: str, **settings: Any) -> Policy:
    """Return what a policy gets right in single responses."""
    run = world.measure(name, "dial_r1", **settings)
    return Policy(run["exact_match"], run["sampled_tokens"], run["format_strict"])


def reinforcement(world: World) -> Finding:
    """Measure finding 5, of single samples."""
    policies = (policy(world, name, **SAMPLED) for name in (CHECKING, GRPO, HACKED))
    return findings.reinforcement(*policies)


def votes(world: World) -> Finding:
    """Measure finding 6."""
    run = world.measure(CHECKING, "dial_bon", **CANDIDATES)
    majority = {n: run[f"maj@{n}"] for n in SAMPLES}
    best, weighted = (run[f"{name}@{SAMPLES[-1]}"] for name in ("bon", "weighted_bon"))
    return findings.votes(majority, best, weighted)


def search(world: World) -> Finding:
    """Measure finding 7."""

    def searched(levels: Sequence[int], name: str) -> Searched:
        runs = (world.measure(name, f"dial_{kind}", **CANDIDATES) for kind in ("bon", "beam"))
        return Searched(*(on(levels, run) for run in runs))

    beam, dvts = (world.measure(HASTY, f"dial_{k}", **SAMPLED, n=WIDEST) for k in ("beam", "dvts"))
    few, fewer = (world.measure(HASTY, f"dial_{k}", **CANDIDATES) for k in ("bon", "beam"))
    return findings.search(
        searched(HARD, HASTY),
        searched(EASY, HASTY),
        searched(HARD, LARGE),
        (on(HARD, beam), on(HARD, dvts)),
        (few["distinct"], fewer["distinct"]),
    )


def on(levels: Sequence[int], run: dict[str, Array]) -> Array:
    """Return what a run's choice scores on problems of some levels."""
    return run["exact_match"][np.isin(run["level"], levels)]


def strategies(world: World) -> tuple[dict[str, Array], Array]:
    """Return the scores of each strategy at the same n, and which problems seem hard."""
    n, kinds = SAMPLES[-1], ("bon", "beam", "dvts")
    bon, *searches = (world.measure(CHECKING, f"dial_{kind}", **CANDIDATES) for kind in kinds)
    scores = {"majority": bon[f"maj@{n}"], "best-of-N": bon[f"bon@{n}"]}
    scores |= {"beam": searches[0]["exact_match"], "DVTS": searches[1]["exact_match"]}
    return scores, bon["agreement"] < 1


def choosing(world: World) -> Finding:
    """Measure finding 8: for problems on which probes agree, and for others, the strategy that was
    best on the validation split."""
    known, was_hard = strategies(world.other("validation", KNOWN))
    fixed, is_hard = strategies(world)
    best = {
        hard: max(known, key=lambda name: float(known[name][was_hard == hard].mean()))
        for hard in (False, True)
    }
    chosen = np.where(is_hard, fixed[best[True]], fixed[best[False]])
    return findings.choosing(chosen, fixed, PROBES / (PROBES + SAMPLES[-1]))


def small_beats_large(world: World) -> Finding:
    """Measure finding 9: of two samples the reward model's choice, against one of the large policy
    at the same temperature; and what that one does without sampling."""
    small = world.measure(CHECKING, "dial_bon", n=2, **SAMPLED)
    large = world.measure(LARGE, "dial_r1", **SAMPLED)
    policies = [
        Policy(run["exact_match"], world.flops(base, run), run["format_strict"])
        for base, run in ((CHECKING, small), (LARGE, large))
    ]
    return findings.small_beats_large(*policies, world.measure(LARGE, "dial_r1")["exact_match"])


def overthinking(world: World) -> Finding:
    """Measure finding 10."""
    run = world.measure(CHECKING, "dial_r1", max_gen_toks=LIMIT)
    return findings.overthinking(waits(world, PLAIN), run["exact_match"], run["truncated"])


STOPS: tuple[Callable[[World], Finding], ...] = (
    budget_scaling,
    waiting,
    drafts,
    formatting,
    reinforcement,
    votes,
    search,
    choosing,
    small_beats_large,
    overthinking,
)


def page(found: list[Finding], heading: str) -> str:
    """Return the tour as one HTML file: for each finding its figures as bars with intervals."""
    parts = [
        f"<!doctype html><meta charset=utf-8><title>{heading}</title>",
        STYLE,
        f"<h1>{heading}</h1>",
    ]
    for finding in found:
        mark = "seen" if finding.seen else "not seen"
        parts.append(f"<h2>{finding.number}. {html.escape(finding.claim)} – {mark}</h2>")
        parts += [f"<p>{html.escape(str(figure))}</p>{bar(figure)}" for figure in finding.figures]
    return "\n".join(parts) + "\n"


STYLE = "<style>body{font:16px sans-serif;max-width:50em;margin:2em auto}h2{font-size:1em}</style>"


def bar(figure: findings.Figure) -> str:
    """Return a drawing of an interval from -100 to 100 points, with zero marked."""
    places = [round(200 + 200 * min(1.0, max(-1.0, x))) for x in (figure.value, *figure.interval)]
    value, low, high = places
    return (
        '<svg width="400" height="16"><path d="M200 0V16" stroke="#999"/>'
        f'<path d="M{low} 8H{max(high, low + 1)}" stroke="#36c" stroke-width="5"/>'
        f'<circle cx="{value}" cy="8" r="5" fill="#36c"/></svg>'
    )


def visit(world: World, numbers: Sequence[int]) -> Iterator[Finding | str]:
    """Measure findings, or say why one was not."""
    for number in numbers:
        try:
            yield STOPS[number](world)
        except SettingsError as error:
            yield f"{STOPS[number].__name__}: not measured: {error}"


def quietly_alone() -> None:
    """Have this process use one thread, and lm_eval say no more than what goes wrong."""
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)


def prepare(world: tuple[Any, ...], numbers: Sequence[int]) -> None:
    """Measure in a process of its own what `visit` will find."""
    quietly_alone()
    for _ in visit(World(*world), numbers):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("results/tour"))
    parser.add_argument("--checkpoints", type=Path, default=FOLDER)
    parser.add_argument("--reward-model", default=PRM, help="its name among the checkpoints")
    parser.add_argument("--split", default="test", choices=("test", "validation"))
    parser.add_argument("--limit", type=int, default=500, help="problems")
    parser.add_argument("--only", nargs="+", choices=[s.__name__ for s in STOPS], metavar="NAME")
    args = parser.parse_args()
    quietly_alone()
    asked = [n for n, stop in enumerate(STOPS) if not args.only or stop.__name__ in args.only]
    world = args.checkpoints, args.output, args.reward_model, args.split, args.limit
    beside = multiprocessing.get_context("spawn").Process(
        target=prepare, args=(world, asked[::-1]), daemon=True
    )
    beside.start()
    found = []
    for finding in visit(World(*world), asked):
        print(finding, flush=True)
        found += [finding] if isinstance(finding, Finding) else []
    beside.join()
    seen = sum(finding.seen for finding in found)
    heading = f"{seen} of {len(found)} findings seen on {args.limit} problems ({args.split})"
    print(heading)
    (args.output / "tour.html").write_text(page(found, heading), encoding="utf-8")


if __name__ == "__main__":
    main()
