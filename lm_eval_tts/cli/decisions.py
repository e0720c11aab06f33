"""Commands that decide from finished runs: what to run next, and whether a change may go in."""

from pathlib import Path
from typing import Annotated

import typer

from lm_eval_tts.cli.app import OUTPUT, MetricName, Results, app
from lm_eval_tts.cli.output import opened, report
from lm_eval_tts.core.metrics import GATED
from lm_eval_tts.errors import SettingsError, unknown_name
from lm_eval_tts.results.runs import load_runs, require_runs
from lm_eval_tts.strategies.parts.table import ESTIMATES

_MARGINS = " ".join(f"{name}={metric.margin:g}" for name, metric in GATED.items())


@app.command(
    "fit", epilog="Example: lm-eval-tts fit results --baseline results_maj.json -o table.yaml"
)
def run_fit(
    results: Results,
    baseline: Annotated[
        str, typer.Option(help="results of independent samples that give the difficulty (*_maj)")
    ],
    difficulty_by: Annotated[
        str,
        typer.Option(
            help="agreement of the baseline's answers, their mean reward, both (the mean of the "
            "two), or the oracle: its pass@1, which needs the reference"
        ),
    ] = "agreement",
    folds: Annotated[int, typer.Option(help="of the cross-validation, >= 2")] = 5,
    output: Annotated[Path | None, typer.Option(*OUTPUT, help="YAML file, for table=")] = None,
) -> int:
    """Make a compute-optimal table from finished runs, and say what it is worth."""
    from lm_eval_tts.results import fit

    if difficulty_by not in ESTIMATES:
        raise unknown_name("--difficulty-by", difficulty_by, ESTIMATES)
    samples = require_runs(load_runs([baseline]))[-1]
    bins = fit.read_bins(samples, difficulty_by)
    runs = fit.read_strategy_runs(require_runs(load_runs(results)), samples.benchmark)
    problems = fit.common_problems(runs, bins)
    if not 2 <= folds <= len(problems):
        raise SettingsError(f"--folds {folds}: allowed is 2 to {len(problems)}, the problems")
    lines = fit.fit_report(runs, bins, problems, folds)
    print("\n".join(lines))
    if output:
        with opened(output) as out:
            out.write("".join(f"# {line}\n" for line in lines))
            out.write(fit.table_yaml(fit.table_rules(runs, bins, problems)))
        print(f"written: {output}, for strategy=compute_optimal,table={output}")
    return 0


@app.command("gate", epilog="Example: lm-eval-tts gate results --baseline baseline.json")
def run_gate(
    results: Results,
    baseline: Annotated[Path, typer.Option(help="JSON file to compare with")],
    metric: MetricName = None,
    update: Annotated[bool, typer.Option("--update", help="write the baseline instead")] = False,
    margin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SHARE",
            help=f"largest accepted loss, or NAME=off ({_MARGINS}); may be repeated",
        ),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="file for the checks as JUnit XML")] = None,
) -> int:
    """Check a run against a baseline, for CI: 0 passed, 1 regressed, 2 undecided or bad input."""
    from lm_eval_tts.results import baseline as baselines
    from lm_eval_tts.results import gate, gate_report

    rules = gate.read_margins(margin or ())
    loaded = load_runs(results, metric)
    now, unread = gate.record_runs(require_runs(loaded))
    report([*loaded.unread, *unread], None, 0)
    if update:
        baselines.write_baseline(baseline, list(now.values()))
        return report([], baseline, num_bad=len(loaded.unread) + len(unread))
    verdict = gate.judge(baselines.read_baseline(baseline), now, rules)
    print(gate_report.verdict_text(verdict), end="")
    if junit:
        with opened(junit) as out:
            out.write(gate_report.verdict_junit(verdict))
    gate_report.append_summary(verdict)
    return gate.EXIT_CODES[verdict.status]
