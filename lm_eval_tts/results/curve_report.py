"""Scaling curves as text, data, a plot (PNG, SVG) or one HTML page with both."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from lm_eval_tts.errors import SettingsError
from lm_eval_tts.results import formats
from lm_eval_tts.results.curve import Curve
from lm_eval_tts.results.statistics import ConfidenceInterval

_LEGEND = (
    "The plot is against sampled tokens, what a problem costs with all its candidates; the figures "
    "are of the tokens that the limits are for. Control: share of points, and of single "
    "samples, within their token limit. Scaling: mean slope over all pairs of points, per "
    "doubling of tokens (the unit of the values published for s1) and per 1,000 tokens. "
    "Performance: the highest accuracy. After arXiv:2501.19393; intervals are 95 %."
)


def render_curves(curves: Sequence[Curve], form: str) -> str | bytes:
    """Return the curves as md, csv, json or html text, or as a plot in svg or png. Raises
    SettingsError where a plot needs matplotlib and there is none."""
    match form:
        case "md":  # two tables for each curve, and what the figures mean
            parts = []
            for curve in curves:
                parts.append(f"## {formats.inline(f'{curve.benchmark}: {curve.name}')}\n")
                parts += map(formats.markdown_table, _tables(curve))
            return "\n".join([*parts, f"{_LEGEND}\n"])
        case "csv":  # one line for each point
            return formats.csv_text([_names(c) | point for c in curves for point in _points(c)])
        case "json":
            return formats.json_text(
                [
                    _names(c) | {"points": _points(c), "figures": c.figures()._asdict()}
                    for c in curves
                ]
            )
        case "html":  # one page with the plot and the tables, without network and scripts
            svg = _draw(curves, "svg").decode("utf-8")
            page = Path(__file__).parent / "page" / "curve.html"
            template = jinja2.Template(page.read_text(encoding="utf-8"), autoescape=True)
            shown = {"svg": svg[svg.index("<svg") :], "curves": curves, "tables": _tables}
            return f"{template.render(shown, legend=_LEGEND)}\n"
        case _:
            return _draw(curves, form)


def _tables(curve: Curve) -> tuple[formats.TextTable, formats.TextTable]:
    """Return the points and the figures of a curve, each with a line of headings."""
    points = [["point", "sampled", curve.unit, "limit", "within", "accuracy %"]]
    for point in curve.points:
        sampled, tokens = formats.figure_text(point.cost, "count"), f"{point.mean_tokens:.0f}"
        limit = formats.MISSING if point.limit is None else f"{point.limit:.0f}"
        within = formats.figure_text(point.share_within, "share")
        accuracy = _with_interval(100 * point.score, point.interval.in_percent, "")
        points.append([point.label, sampled, tokens, limit, within, accuracy])
    found = curve.figures()
    doubling = _with_interval(found.scaling_per_doubling, found.scaling_per_doubling_interval)
    thousand = _with_interval(found.scaling_per_1000_tokens, found.scaling_per_1000_tokens_interval)
    return points, [
        ["figure", "value"],
        ["control, points", _percent(found.control_percent)],
        ["control, samples", _percent(found.control_samples_percent)],
        ["scaling, points per doubling", doubling],
        ["scaling, points per 1,000 tokens", thousand],
        ["performance", _percent(found.performance_percent)],
    ]


def _percent(value: float) -> str:
    return formats.MISSING if math.isnan(value) else f"{value:.1f}%"


def _with_interval(value: float, interval: ConfidenceInterval, sign: str = "+") -> str:
    if math.isnan(value):
        return formats.MISSING
    low, high = interval
    said = "" if math.isnan(low) else f" ({low:{sign}.1f} to {high:{sign}.1f})"
    return f"{value:{sign}.1f}{said}"


def _names(curve: Curve) -> dict[str, Any]:
    return {"benchmark": curve.benchmark, "name": curve.name, "unit": curve.unit}


def _points(curve: Curve) -> list[dict[str, Any]]:
    return [
        {
            "point": point.label,
            "tokens": point.mean_tokens,
            "sampled_tokens": point.cost,
            "limit": point.limit,
            "share_within": point.share_within,
            "accuracy": 100 * point.score,
            **point.interval.in_percent._asdict(),
            "n": len(point.documents) or None,
        }
        for point in curve.points
    ]


def _draw(curves: Sequence[Curve], form: str) -> bytes:
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SettingsError("plots need matplotlib: pip install 'lm_eval_tts[plot]'") from error
    plots = sorted({(curve.benchmark, curve.costs[0]) for curve in curves})
    figure, out = Figure(figsize=(7.5, 4.2 * len(plots)), layout="constrained"), io.BytesIO()
    with rc_context({"text.parse_math": False}):  # a dollar in a name begins no mathematics
        for number, (benchmark, unit) in enumerate(plots, 1):
            axes = figure.add_subplot(len(plots), 1, number)
            for curve in curves:
                if (curve.benchmark, curve.costs[0]) == (benchmark, unit):
                    _draw_curve(axes, curve)
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axes.set(xlabel=f"{unit} a problem", ylabel="accuracy %", title=benchmark)
            axes.grid(alpha=0.3)
            # Below the axes, where it hides no point.
            axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(0, -0.15), ncols=2)
        dated = {"Date": None} if form == "svg" else None
        figure.savefig(out, format=form, dpi=150, metadata=dated)
    return out.getvalue()


def _draw_curve(axes: Any, curve: Curve) -> None:
    x = [max(cost, 1) for cost in curve.costs[1]]
    y = [100 * point.score for point in curve.points]
    ends = [point.interval.in_percent for point in curve.points]
    bars = abs(np.nan_to_num(np.array(ends) - np.array(y)[:, None])).T
    axes.errorbar(x, y, yerr=bars, marker="o", markersize=4, capsize=2, label=curve.name)
    last = 0.0
    for point, at_x, at_y in zip(curve.points, x, y, strict=True):
        if len(x) > 1 and at_x > 1.05 * last:  # texts of nearer points would lie on each other
            last, where = at_x, {"textcoords": "offset points", "fontsize": 8}
            axes.annotate(point.label, (at_x, at_y), (4, 5), **where)
