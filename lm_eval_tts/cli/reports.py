"""Commands that show finished runs: tables, plots, single responses."""

import sys
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from lm_eval_tts.cli.app import OUTPUT, MetricName, Results, app, complete_task
from lm_eval_tts.cli.output import check_ending, opened, report
from lm_eval_tts.core.trace import Delimiters
from lm_eval_tts.errors import DataError, LmEvalTTSError
from lm_eval_tts.grading import dispute
from lm_eval_tts.harness import autoload
from lm_eval_tts.results.runs import Run, keep_largest, load_runs, require_runs
from lm_eval_tts.results.sample_texts import SampleTexts, sample_of
from lm_eval_tts.settings import parse_settings

# Model arguments that decide delimiters; what a task sets is in its samples.
DELIMITING = frozenset({"delimiters", "prompt_file", *(f.name for f in fields(Delimiters))})


@app.command("leaderboard", epilog="Example: lm-eval-tts leaderboard results -o board.html")
def run_leaderboard(
    results: Results,
    metric: MetricName = None,
    output: Annotated[Path | None, typer.Option(*OUTPUT, help=".html, .md, .csv or .json")] = None,
    title: Annotated[str, typer.Option(help="heading of the HTML page")] = "Leaderboard",
    no_samples: Annotated[
        bool, typer.Option("--no-samples", help="no samples to read in the HTML")
    ] = False,
) -> int:
    """Show finished runs as one table, or one HTML page."""
    from rich.console import Console

    from lm_eval_tts.results import leaderboard, leaderboard_html, leaderboard_text

    form = check_ending(output, ("html", "md", "csv", "json"), default="md")
    loaded = load_runs(results, metric)
    board = leaderboard.build_leaderboard(require_runs(loaded), loaded.unread)
    with opened(output) as out:
        if form == "html":
            leaderboard_html.write_html(board, out, title, samples=not no_samples)
        elif out is sys.stdout and out.isatty():
            Console().print(leaderboard_text.board_terminal(board))
        else:
            out.write(leaderboard_text.BOARDS[form](board))
    return report(board.notes, output, num_bad=len(loaded.unread))


@app.command("curve", epilog="Example: lm-eval-tts curve results -o curve.png")
def run_curve(
    results: Results,
    metric: MetricName = None,
    output: Annotated[
        Path | None,
        typer.Option(*OUTPUT, help=".html, .svg, .png (a plot), .md, .csv or .json"),
    ] = None,
    join: Annotated[
        bool, typer.Option("--join", help="one curve for all runs of a benchmark, whatever ran")
    ] = False,
) -> int:
    """Show accuracy against tokens, and how it scales."""
    from lm_eval_tts.results import curve, curve_report

    form = check_ending(output, ("html", "svg", "png", "md", "csv", "json"), default="md")
    loaded = load_runs(results, metric)
    curves, notes = curve.build_curves(require_runs(loaded), join=join)
    if not curves:
        raise DataError(f"no run has token counts: {'; '.join(notes)}")
    content = curve_report.render_curves(curves, form)
    with opened(output) as out:
        if isinstance(content, str):
            out.write(content)
        else:
            out.buffer.write(content)
    return report([*loaded.unread, *notes], output, num_bad=len(loaded.unread))


@app.command("compare", epilog="Example: lm-eval-tts compare results/sft results/grpo")
def run_compare(
    a: Annotated[str, typer.Argument(metavar="A", help="a results file, or a folder of them")],
    b: Annotated[str, typer.Argument(metavar="B", help="the other one")],
    metric: MetricName = None,
    output: Annotated[Path | None, typer.Option(*OUTPUT, help=".md or .json")] = None,
) -> int:
    """Compare two runs, paired by document."""
    from lm_eval_tts.results import compare

    form = check_ending(output, ("md", "json"), default="md")
    sides = [load_runs([path], metric) for path in (a, b)]
    kept = [keep_largest(require_runs(side)) for side in sides]
    pairs = compare.match_runs(*(runs for runs, _ in kept))
    comparisons = [compare.compare(a, b) for a, b in pairs]
    with opened(output) as out:
        if form == "json":
            out.write(compare.comparisons_json(comparisons))
        else:
            out.write("\n".join(map(compare.comparison_markdown, comparisons)))
    unread = [file for side in sides for file in side.unread]
    notes = [note for _, notes in kept for note in notes]
    return report([*unread, *notes], output, num_bad=len(unread))


@app.command("show", epilog="Example: lm-eval-tts show results 3, or lm-eval-tts show arith_budget")
def run_show(
    target: Annotated[
        str,
        typer.Argument(
            help="a task, or a results file, or a folder of them", autocompletion=complete_task
        ),
    ],
    document: Annotated[str | None, typer.Argument(help="its id or number (the first)")] = None,
    metric: MetricName = None,
    pretrained: Annotated[
        str | None, typer.Option(help="model whose chat template a task's prompt is put into")
    ] = None,
    gen_kwargs: Annotated[str, typer.Option("--gen_kwargs", help="as in lm_eval, for a task")] = "",
) -> int:
    """Show what a task sends, or what a run was sent and answered, phase by phase."""
    from rich.console import Console

    from lm_eval_tts.results import show

    console = Console(soft_wrap=True, highlight=False)
    if not Path(target).exists() and "/" not in target:
        from lm_eval_tts.models.preview import preview

        autoload.install()
        sent = preview(target, document, pretrained, gen_kwargs)
        console.print(
            show.prompt_report(sent.prompt, sent.settings, sent.reference, sent.delimiters)
        )
        return 0
    loaded = load_runs([target], metric)
    found = [(run, sample_of(run, document)) for run in require_runs(loaded)]
    if not any(sample for _, sample in found):
        raise DataError(
            f"no document {document or 0!r} in {target}: was it run with --log_samples?"
        )
    for run, sample in found:
        if sample:
            console.print(show.sample_report(run, sample, _delimiters(run, sample)))
    return report(loaded.unread, None, num_bad=len(loaded.unread))


def _delimiters(run: Run, sample: SampleTexts) -> Delimiters | None:
    """Return the delimiters that a run's settings ask for; None where they cannot be told."""
    if not run.setup.strategy:
        return None
    given = {name: value for name, value in run.setup.settings if name in DELIMITING}
    try:
        return parse_settings({**given, **sample.settings}, run.made.family).delimiters
    except LmEvalTTSError:
        return None


@app.command("export", epilog="Example: lm-eval-tts export results --samples -o samples.parquet")
def run_export(
    results: Results,
    output: Annotated[Path, typer.Option(*OUTPUT, help=".csv or .parquet")],
    samples: Annotated[
        bool, typer.Option("--samples", help="a row for each document, not for each run")
    ] = False,
    metric: MetricName = None,
) -> int:
    """Write runs, or their samples with all texts, as a tidy table."""
    from lm_eval_tts.results import frames

    form = check_ending(output, ("csv", "parquet"), default="csv")
    loaded = load_runs(results, metric)
    records = (frames.sample_records if samples else frames.run_records)(require_runs(loaded))
    with opened(output) as out:
        frames.write_table(records, form, out)
    return report(loaded.unread, output, num_bad=len(loaded.unread))


@app.command("grade", epilog="Example: lm-eval-tts grade results/*/samples_math500_cot_*.jsonl")
def run_grade(
    file: Annotated[Path, typer.Argument(help="samples of lm_eval, or JSON lines of responses")],
    against: Annotated[str, typer.Option(help="the other grader")] = "math-verify",
    output: Annotated[Path | None, typer.Option(*OUTPUT, help="file, Markdown")] = None,
) -> int:
    """Show where two graders differ on the same responses."""
    text = dispute.dispute_report(dispute.read_items(file), against)
    with opened(output) as out:
        out.write(text)
    return 0
