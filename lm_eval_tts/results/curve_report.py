"""Scaling curves as text, data, a plot (PNG, SVG) or one HTML page with both."""

from __future__ import annotations

import csv
import html
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from lm_eval_tts.errors import SettingsError
from lm_eval_tts.results.curve import Curve, Figures
from lm_eval_tts.results.leaderboard_text import MISSING, escape_cell
from lm_eval_tts.results.statistics import Interval

LEGEND = (
    "Control: share of points, and of single samples, within their token limit. Scaling: mean "
    "slope over all pairs of points, per doubling of tokens (the unit of the values published for "
    "s1) and per 1,000 tokens. Performance: the highest accuracy. After arXiv:2501.19393; "
    "intervals are 95 %."
)
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:24px auto;padding:0 16px}"
    "svg{width:100%;height:auto}table{border-collapse:collapse;margin:12px 0}"
    "td,th{padding:5px 12px;border-bottom:1px solid #ddd;text-align:right}"
    "td:first-child,th:first-child{text-align:left}.scroll{overflow-x:auto}"
)
Table = list[list[str]]


def tables(curve: Curve) -> tuple[Table, Table]:
    """Return the points and the figures of a curve, each with a line of headings."""
    points = [["point", curve.unit, "limit", "within", "accuracy %"]]
    for point in curve.points:
        points.append(
            [
                point.label,
                f"{point.mean_tokens:.0f}",
                MISSING if point.limit is None else f"{point.limit:.0f}",
                _figure(100 * point.share_within, "%"),
                _with_interval(point.accuracy, point.interval, ""),
            ]
        )
    figures = curve.figures()
    return points, [
        ["figure", "value"],
        ["control, points", _figure(figures.control, "%")],
        ["control, samples", _figure(figures.control_samples, "%")],
        [
            "scaling, points per doubling",
            _slope(figures.scaling_doubling, figures.interval_doubling),
        ],
        ["scaling, points per 1,000 tokens", _slope(figures.scaling_1k, figures.interval_1k)],
        ["performance", _figure(figures.performance, "%")],
    ]


def _figure(value: float, unit: str) -> str:
    return MISSING if math.isnan(value) else f"{value:.1f}{unit}"


def _slope(value: float, interval: Interval) -> str:
    return _with_interval(value, interval, "+")


def _with_interval(value: float, interval: Interval, sign: str) -> str:
    if math.isnan(value):
        return MISSING
    low, high = interval
    told = "" if math.isnan(low) else f" ({low:{sign}.1f} to {high:{sign}.1f})"
    return f"{value:{sign}.1f}{told}"


def to_markdown(curves: Sequence[Curve]) -> str:
    """Return two tables for each curve, and what the figures mean."""
    parts = []
    for curve in curves:
        parts.append(f"## {curve.benchmark}: {curve.name}\n")
        parts += [_markdown_table(table) for table in tables(curve)]
    return "\n".join([*parts, f"{LEGEND}\n"])


def _markdown_table(table: Table) -> str:
    lines = [table[0], ["---"] * len(table[0]), *table[1:]]
    return "".join(f"| {' | '.join(map(escape_cell, line))} |\n" for line in lines)


def to_csv(curves: Sequence[Curve]) -> str:
    """Return one line for each point."""
    out = io.StringIO()
    lines = [{**_names(curve), **point} for curve in curves for point in _points(curve)]
    writer = csv.DictWriter(out, list(lines[0]) if lines else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def to_json(curves: Sequence[Curve]) -> str:
    """Return the curves with their figures; undefined ones are null."""
    content = [
        {**_names(curve), "points": _points(curve), "figures": _figures(curve.figures())}
        for curve in curves
    ]
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _names(curve: Curve) -> dict[str, Any]:
    return {"benchmark": curve.benchmark, "name": curve.name, "unit": curve.unit}


def _points(curve: Curve) -> list[dict[str, Any]]:
    return [
        {
            "point": point.label,
            "tokens": point.mean_tokens,
            "limit": point.limit,
            "share_within": _known(point.share_within),
            "accuracy": point.accuracy,
            "low": _known(point.interval.low),
            "high": _known(point.interval.high),
            "n": len(point.documents) or None,
        }
        for point in curve.points
    ]


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        "control_percent": _known(figures.control),
        "control_samples_percent": _known(figures.control_samples),
        "scaling_per_doubling": _known(figures.scaling_doubling),
        "scaling_per_doubling_interval": list(map(_known, figures.interval_doubling)),
        "scaling_per_1000_tokens": _known(figures.scaling_1k),
        "scaling_per_1000_tokens_interval": list(map(_known, figures.interval_1k)),
        "performance_percent": _known(figures.performance),
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def to_html(curves: Sequence[Curve]) -> str:
    """Return one page with the plot and the tables; it needs no network and no script."""
    svg = draw(curves, "svg").decode("utf-8")
    body = "".join(
        f"<h2>{html.escape(f'{curve.benchmark}: {curve.name}')}</h2>"
        + "".join(f'<div class="scroll">{_html_table(table)}</div>' for table in tables(curve))
        for curve in curves
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Test-time scaling</title><style>{_STYLE}</style><h1>Test-time scaling</h1>"
        f"{svg[svg.index('<svg') :]}{body}<p>{html.escape(LEGEND)}</p></html>\n"
    )


def _html_table(table: Table) -> str:
    def row(tag: str, cells: Sequence[str]) -> str:
        inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
        return f"<tr>{inner}</tr>"

    return f"<table>{row('th', table[0])}{''.join(row('td', line) for line in table[1:])}</table>"


def draw(curves: Sequence[Curve], form: str) -> bytes:
    """Return the plot of accuracy against tokens as "png" or "svg".

    Raises SettingsError where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SettingsError("plots need matplotlib: pip install 'lm_eval_tts[plot]'") from error
    plots = sorted({(curve.benchmark, curve.unit) for curve in curves})
    figure = Figure(figsize=(7.5, 4.2 * len(plots)), layout="constrained")
    for number, (benchmark, unit) in enumerate(plots, 1):
        axes = figure.add_subplot(len(plots), 1, number)
        for curve in curves:
            if (curve.benchmark, curve.unit) == (benchmark, unit):
                _draw_curve(axes, curve)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_xlabel(f"{unit} a problem")
        axes.set_ylabel("accuracy %")
        axes.set_title(_plain(benchmark))
        axes.grid(alpha=0.3)
        # Below the axes, where it hides no point.
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(0, -0.15), ncols=2)
    out = io.BytesIO()
    figure.savefig(out, format=form, dpi=150, metadata={"Date": None} if form == "svg" else None)
    return out.getvalue()


def _draw_curve(axes: Any, curve: Curve) -> None:
    x = [max(point.mean_tokens, 1) for point in curve.points]
    y = [point.accuracy for point in curve.points]
    bars = [
        [0 if math.isnan(end) else abs(value - end) for value, end in zip(y, ends, strict=True)]
        for ends in zip(*(point.interval for point in curve.points), strict=True)
    ]
    axes.errorbar(x, y, yerr=bars, marker="o", markersize=4, capsize=2, label=_plain(curve.name))
    last = 0.0
    for point, at_x, at_y in zip(curve.points, x, y, strict=True):
        if len(x) > 1 and at_x > 1.05 * last:  # texts of nearer points would lie on each other
            text, last = _plain(point.label), at_x
            axes.annotate(text, (at_x, at_y), (4, 5), textcoords="offset points", fontsize=8)


def _plain(text: str) -> str:
    """Return text that matplotlib does not read as mathematics."""
    return text.replace("$", r"\$")


def render(curves: Sequence[Curve], form: str) -> str | bytes:
    """Return the curves as md, csv, json or html text, or as a plot in svg or png."""
    if form in ("png", "svg"):
        return draw(curves, form)
    return {"md": to_markdown, "csv": to_csv, "json": to_json, "html": to_html}[form](curves)
