"""Commands that read finished runs: what they show, and what is decided from them."""

import sys
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from lm_eval_tts.cli.app import MetricName, Results, app, complete_task, ending_of, report, write
from lm_eval_tts.core.metrics import GATED
from lm_eval_tts.core.trace import Delimiters
from lm_eval_tts.errors import DataError, LmEvalTTSError, SettingsError, unknown_name
from lm_eval_tts.harness import autoload
from lm_eval_tts.results.runs import Run, keep_largest, load_runs
from lm_eval_tts.results.samples import SampleTexts, sample_of
from lm_eval_tts.settings import parse_settings
from lm_eval_tts.strategies.compute_optimal import ESTIMATES

# Model arguments that decide delimiters; what a task sets is in its samples.
DELIMITING = frozenset({"delimiters", "prompt_file", *(f.name for f in fields(Delimiters))})
_MARGINS = " ".join(f"{name}={metric.margin:g}" for name, metric in GATED.items())


def _output(what: str) -> Any:
    return Option("-o", "--output", help=what)


@app.command(
    "fit", epilog="Example: lm-eval-tts fit results --baseline results_maj.json -o table.yaml"
)
def run_fit(
    results: Results,
    baseline: Annotated[
        str, Option(help="results of independent samples that give the difficulty (*_maj)")
    ],
    difficulty_by: Annotated[
        str,
        Option(
            help="agreement of the baseline's answers, their mean reward, both (the mean of the "
            "two), or the oracle: its pass@1, which needs the reference"
        ),
    ] = "agreement",
    folds: Annotated[int, Option(help="of the cross-validation, >= 2")] = 5,
    output: Annotated[Path | None, _output("YAML file, for table=")] = None,
) -> int:
    """Make a compute-optimal table from finished runs, and say what it is worth."""
    from lm_eval_tts.results import fit

    if difficulty_by not in ESTIMATES:
        raise unknown_name("--difficulty-by", difficulty_by, ESTIMATES)
    samples = load_runs([baseline]).runs[-1]
    bins = fit.read_bins(samples, difficulty_by)
    runs = fit.read_strategy_runs(load_runs(results).runs, samples.benchmark)
    problems = fit.common_problems(runs, bins)
    if not 2 <= folds <= len(problems):
        raise SettingsError(f"--folds {folds}: allowed is 2 to {len(problems)}, the problems")
    lines = fit.fit_report(runs, bins, problems, folds)
    print("\n".join(lines))
    if output:
        table = fit.table_yaml(runs, bins, problems)
        write([*(f"# {line}\n" for line in lines), table], output)
        print(f"written: {output}, for strategy=compute_optimal,table={output}")
    return 0


@app.command("gate", epilog="Example: lm-eval-tts gate results --baseline baseline.json")
def run_gate(
    results: Results,
    baseline: Annotated[Path, Option(help="JSON file to compare with")],
    metric: MetricName = None,
    update: Annotated[bool, Option("--update", help="write the baseline instead")] = False,
    margin: Annotated[
        list[str] | None,
        Option(
            metavar="NAME=SHARE",
            help=f"largest accepted loss, or NAME=off ({_MARGINS}); may be repeated",
        ),
    ] = None,
    junit: Annotated[Path | None, Option(help="file for the checks as JUnit XML")] = None,
) -> int:
    """Check a run against a baseline, for CI: 0 passed, 1 regressed, 2 undecided or bad input."""
    from lm_eval_tts.results import baseline as baselines
    from lm_eval_tts.results import gate

    rules = gate.read_margins(margin or ())
    loaded = load_runs(results, metric)
    now, unread = baselines.record_runs(loaded.runs)
    report([*loaded.unread, *unread], None, 0)
    if update:
        baselines.write_baseline(baseline, now)
        return report([], baseline, num_bad=len(loaded.unread) + len(unread))
    verdict = gate.judge(baselines.read_baseline(baseline), now, rules)
    print(gate.verdict_text(verdict), end="")
    if junit:
        write(gate.verdict_junit(verdict), junit)
    gate.append_summary(verdict)
    return gate.EXIT_CODES[verdict.status]


@app.command("leaderboard", epilog="Example: lm-eval-tts leaderboard results -o board.html")
def run_leaderboard(
    results: Results,
    metric: MetricName = None,
    output: Annotated[Path | None, _output(".html, .md, .csv or .json")] = None,
    title: Annotated[str, Option(help="heading of the HTML page")] = "Leaderboard",
    no_samples: Annotated[
        bool, Option("--no-samples", help="no samples to read in the HTML")
    ] = False,
) -> int:
    """Show finished runs as one table, or one HTML page."""
    from lm_eval_tts.results import leaderboard, leaderboard_report

    form = ending_of(output, ("html", "md", "csv", "json"), default="md")
    loaded = load_runs(results, metric)
    board = leaderboard.build_leaderboard(*loaded)
    if output is None and sys.stdout.isatty():
        from rich.console import Console

        Console().print(leaderboard_report.board_terminal(board))
    elif form == "html":
        write(leaderboard_report.page_parts(board, title, samples=not no_samples), output)
    else:
        write(leaderboard_report.board_text(board, form), output)
    return report(board.notes, output, num_bad=len(loaded.unread))


@app.command("curve", epilog="Example: lm-eval-tts curve results -o curve.png")
def run_curve(
    results: Results,
    metric: MetricName = None,
    output: Annotated[
        Path | None, _output(".html, .svg, .png (a plot), .md, .csv or .json")
    ] = None,
    join: Annotated[
        bool, Option("--join", help="one curve for all runs of a benchmark, whatever ran")
    ] = False,
) -> int:
    """Show accuracy against tokens, and how it scales."""
    from lm_eval_tts.results import curve, curve_report

    form = ending_of(output, ("html", "svg", "png", "md", "csv", "json"), default="md")
    loaded = load_runs(results, metric)
    curves, notes = curve.build_curves(loaded.runs, join=join)
    if not curves:
        raise DataError(f"no run has token counts: {'; '.join(notes)}")
    write(curve_report.render_curves(curves, form), output)
    return report([*loaded.unread, *notes], output, num_bad=len(loaded.unread))


@app.command("compare", epilog="Example: lm-eval-tts compare results/sft results/grpo")
def run_compare(
    a: Annotated[str, Argument(metavar="A", help="a results file, or a folder of them")],
    b: Annotated[str, Argument(metavar="B", help="the other one")],
    metric: MetricName = None,
    output: Annotated[Path | None, _output(".md or .json")] = None,
) -> int:
    """Compare two runs, paired by document."""
    from lm_eval_tts.results import compare

    form = ending_of(output, ("md", "json"), default="md")
    sides = [load_runs([path], metric) for path in (a, b)]
    (runs_a, notes_a), (runs_b, notes_b) = (keep_largest(side.runs) for side in sides)
    compared = [compare.compare(*pair) for pair in compare.match_runs(runs_a, runs_b)]
    text = "\n".join(map(compare.comparison_markdown, compared))
    write(compare.comparisons_json(compared) if form == "json" else text, output)
    unread = [file for side in sides for file in side.unread]
    return report([*unread, *notes_a, *notes_b], output, num_bad=len(unread))


@app.command("show", epilog="Example: lm-eval-tts show results 3, or lm-eval-tts show arith_budget")
def run_show(
    target: Annotated[
        str,
        Argument(
            help="a task, or a results file, or a folder of them", autocompletion=complete_task
        ),
    ],
    document: Annotated[str | None, Argument(help="its id or number (the first)")] = None,
    metric: MetricName = None,
    pretrained: Annotated[
        str | None, Option(help="model whose chat template a task's prompt is put into")
    ] = None,
    gen_kwargs: Annotated[str, Option("--gen_kwargs", help="as in lm_eval, for a task")] = "",
) -> int:
    """Show what a task sends, or what a run was sent and answered, phase by phase."""
    from rich.console import Console

    from lm_eval_tts.results import show

    console = Console(soft_wrap=True, highlight=False)
    if not Path(target).exists() and "/" not in target:
        from lm_eval_tts.models.preview import preview

        autoload.install()
        console.print(show.prompt_report(*preview(target, document, pretrained, gen_kwargs)))
        return 0
    loaded = load_runs([target], metric)
    found = [(run, sample) for run in loaded.runs if (sample := sample_of(run, document))]
    if not found:
        raise DataError(
            f"no document {document or 0!r} in {target}: was it run with --log_samples?"
        )
    for run, sample in found:
        console.print(show.sample_report(run, sample, _delimiters(run, sample)))
    return report(loaded.unread, None, num_bad=len(loaded.unread))


def _delimiters(run: Run, sample: SampleTexts) -> Delimiters | None:
    """Return the delimiters that a run's settings ask for; None where they cannot be told."""
    if not run.setup.strategy:
        return None
    given = {name: value for name, value in run.setup.settings if name in DELIMITING}
    try:
        return parse_settings({**given, **sample.settings}, run.made["family"]).delimiters
    except LmEvalTTSError:
        return None


@app.command("export", epilog="Example: lm-eval-tts export results --samples -o samples.parquet")
def run_export(
    results: Results,
    output: Annotated[Path, _output(".csv or .parquet")],
    samples: Annotated[
        bool, Option("--samples", help="a row for each document, not for each run")
    ] = False,
    metric: MetricName = None,
) -> int:
    """Write runs, or their samples with all texts, as a tidy table."""
    from lm_eval_tts.results import frames

    form = ending_of(output, ("csv", "parquet"), default="csv")
    loaded = load_runs(results, metric)
    records = (frames.sample_records if samples else frames.run_records)(loaded.runs)
    write(frames.table_of(records, form), output)
    return report(loaded.unread, output, num_bad=len(loaded.unread))


@app.command("grade", epilog="Example: lm-eval-tts grade results/*/samples_math500_cot_*.jsonl")
def run_grade(
    file: Annotated[Path, Argument(help="samples of lm_eval, or JSON lines of responses")],
    against: Annotated[str, Option(help="the other grader")] = "math-verify",
    output: Annotated[Path | None, _output("file, Markdown")] = None,
) -> None:
    """Show where two graders differ on the same responses."""
    from lm_eval_tts.results import dispute

    write(dispute.dispute_report(dispute.read_items(file), against), output)
