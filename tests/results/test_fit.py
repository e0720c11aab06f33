"""A compute-optimal table from runs, and what it is worth on problems it has not seen."""

import json
from pathlib import Path
from random import Random
from statistics import fmean

import pytest

from lm_eval_tts.cli import main
from lm_eval_tts.cli.commands import run_fit as fit_command
from lm_eval_tts.errors import DataError, SettingsError
from lm_eval_tts.results import fit
from lm_eval_tts.results.runs import load_runs
from lm_eval_tts.strategies.compute_optimal import ComputeOptimal, load_table

CLASSES = {"easy": [0, 0, 0, 0], "medium": [0, 0, 1, 2], "hard": [0, 1, 2, None]}
PROBLEMS = [(f"{name}{i}", name) for name in CLASSES for i in range(20)]


def write_run(folder: Path, name: str, right, **kwargs) -> Path:
    """A run's two files; right: (problem, bin) to its accuracy."""
    folder = folder / name
    folder.mkdir()
    date = f"2026-01-01T00-00-{len(list(folder.parent.iterdir())):02}"
    settings = {"max_gen_toks": 9, "temperature": 1.0, **kwargs}
    task = {"generation_kwargs": settings, "dataset_kwargs": {"benchmark": "arith"}}
    content = {
        "results": {"arith_x": {"exact_match,none": 0.5}},
        "configs": {"arith_x": task},
        "config": {"model": "tts-hf", "model_args": {"pretrained": "m"}},
    }
    results = folder / f"results_{date}.json"
    results.write_text(json.dumps(content))
    path = folder / f"samples_arith_x_{date}.jsonl"
    with path.open("w") as file:
        for problem, bin_ in PROBLEMS:
            row = {
                "doc": {"id": problem},
                "exact_match": right(problem, bin_),
                "sampled_tokens": 10 * kwargs.get("n", 1),
                "pass@1": {"easy": 0.9, "medium": 0.3, "hard": 0.0}[bin_],
                "answered": {"candidates": [candidate(c, bin_) for c in CLASSES[bin_]]},
            }
            file.write(json.dumps(row) + "\n")
    return results


def candidate(number: int | None, bin_: str) -> dict:
    reward = {"easy": 0.9, "medium": 0.3, "hard": 0.05}[bin_]
    return {"class": number, "scores": {"reward": None if number is None else reward}}


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Best-of-N is right where problems are easy, beam search where they are hard."""
    return [
        write_run(tmp_path, "maj", lambda p, b: 0.5, strategy="self_consistency", n=2),
        write_run(
            tmp_path,
            "bon",
            lambda p, b: float(b == "easy"),
            strategy="best_of_n",
            n=4,
            weighted=True,
        ),
        write_run(
            tmp_path, "beam", lambda p, b: float(b == "hard"), strategy="beam", n=4, beam_width=2
        ),
    ]


def run_fit(runs: list[Path], output: Path | None = None, **changes) -> int:
    given = {"results": [*map(str, runs)], "baseline": str(runs[0]), "output": output}
    return fit_command(**(given | changes))


@pytest.mark.parametrize("by", ["agreement", "reward", "both", "oracle"])
def test_each_bin_gets_its_best_strategy_and_the_table_can_be_used(runs, tmp_path, capsys, by):
    output = tmp_path / "table.yaml"
    assert run_fit(runs, output, difficulty_by=by) == 0
    assert "n <= 4, by difficulty: 0.833" in capsys.readouterr().out
    rules = load_table(str(output))
    choice = {
        (n, bin_): next(r for r in rules if r.fits(1.0, bin_, n)).strategy
        for n in (2, 4, 9)
        for bin_ in CLASSES
    }
    assert choice[4, "easy"] == choice[9, "easy"] == "best_of_n"
    assert choice[4, "medium"] == "self_consistency"
    assert choice[4, "hard"] == "beam"
    assert {choice[2, bin_] for bin_ in CLASSES} == {"self_consistency"}
    strategy = ComputeOptimal(n=4, beam_width=2, table=str(output), policy_size=1.0)
    assert strategy.strategy(rules[0]).weighted


def test_no_problem_chooses_its_own_strategy(tmp_path):
    """Where all is chance, what looks best on all problems is worth no more on unseen ones."""
    paths = [
        write_run(
            tmp_path, f"run{k}", lambda p, b, k=k: float(Random(f"{k}{p}").random() < 0.5),
            strategy="best_of_n", n=4,
        )
        for k in range(40)
    ]  # fmt: skip
    loaded = load_runs(paths).runs
    runs = fit.read_strategy_runs(loaded, "arith")
    bins = fit.read_bins(loaded[0], "agreement")
    problems = fit.common_problems(runs, bins)
    best = fit.best_of_bins(runs, bins, problems)
    on_itself = fmean(best[bins[problem]].accuracy[problem] for problem in problems)
    unseen, *_ = fit.cross_validated(runs, bins, problems, 5)
    assert on_itself > 0.68
    assert unseen < 0.6


def test_the_cheaper_of_two_equal_runs_is_chosen(tmp_path):
    same = [
        write_run(tmp_path, f"n{n}", lambda p, b: 1.0, strategy="self_consistency", n=n)
        for n in (8, 2, 4)
    ]
    runs = fit.read_strategy_runs(load_runs(same).runs, "arith")
    best = fit.best_of_bins(runs, dict(PROBLEMS), [problem for problem, _ in PROBLEMS])
    assert {run.n for run in best.values()} == {2}


def samples_of(results: Path) -> Path:
    return next(results.parent.glob("samples_*"))


def test_runs_of_other_problems_are_refused(runs):
    lines = samples_of(runs[1]).read_text().splitlines(keepends=True)
    samples_of(runs[1]).write_text("".join(lines[1:]))
    with pytest.raises(DataError, match="differ in 1 problems, such as 'easy0'"):
        run_fit(runs)


def test_a_run_without_its_samples_is_refused(runs):
    samples_of(runs[1]).unlink()
    with pytest.raises(DataError, match="no samples file of arith_x next to it"):
        run_fit(runs)


def test_runs_of_strategies_that_no_table_can_name_are_left_out(runs, tmp_path, capsys):
    runs.append(write_run(tmp_path, "cot", lambda p, b: 1.0, strategy="single"))
    run_fit(runs)
    assert "3 runs" in capsys.readouterr().out
    with pytest.raises(DataError, match="no run of arith by one of the strategies beam, best_of_n"):
        run_fit(runs, results=[str(runs[-1])])


def test_folders_of_runs_are_read(runs, tmp_path, capsys):
    run_fit(runs, results=[str(tmp_path)])
    assert "60 problems (20 easy, 20 medium, 20 hard), 3 runs" in capsys.readouterr().out


def test_a_baseline_without_candidates_is_refused(runs):
    path = samples_of(runs[0])
    path.write_text(path.read_text().replace('"candidates"', '"others"'))
    with pytest.raises(DataError, match="no samples to estimate the difficulty by agreement"):
        run_fit(runs)


def test_folds_must_be_at_least_two(runs):
    with pytest.raises(SettingsError, match="--folds 1: allowed is 2 to 60"):
        run_fit(runs, folds=1)


def test_the_command_line_says_what_is_wrong_in_one_line(runs, capsys):
    assert main(["fit", str(runs[0]), "--baseline", "/nowhere"]) == 2
    assert capsys.readouterr().err.startswith("lm-eval-tts fit: no results to read: /nowhere")
