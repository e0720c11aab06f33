"""Scaling curves: the figures of the s1 paper, from its own numbers, and from runs."""

import json
import math

import numpy as np
import pytest
from results_helpers import sample, scored, write_run

from lm_eval_tts.results import curve_report
from lm_eval_tts.results.curve import build_curves, control, scaling
from lm_eval_tts.results.runs import load_runs

# Tokens and AIME24 accuracy of tables 12 to 14 of arXiv:2501.19393, the scaling of its table 3,
# and the slope per 1,000 tokens that the same points have.
PUBLISHED = {
    "token-conditional": ([7939, 7158, 8263, 7108, 7500], [26.7, 30, 33.3, 33.3, 40], -24, -4.76),
    "token-conditional, forced": (
        [1024, 2048, 4031, 5664, 6330], [3.3, 30, 33.3, 33.3, 40], 13, 6.73,
    ),
    "step-conditional": ([7252, 6277, 5396, 5552, 7551], [33.3, 23.3, 33.3, 36.7, 33.3], 3, 0.64),
    "class-conditional": ([8033, 9651], [30.0, 36.7], 25, 4.14),
}  # fmt: skip


@pytest.mark.parametrize(
    ("tokens", "accuracy", "published", "per_1k"), PUBLISHED.values(), ids=PUBLISHED
)
def test_scaling_is_the_published_one_per_doubling_and_not_per_1000_tokens(
    tokens, accuracy, published, per_1k
):
    """Within a point: -23.45 is published as -24."""
    tokens, accuracy = np.array(tokens, float), np.array(accuracy)
    assert scaling(np.log2(tokens), accuracy) == pytest.approx(published, abs=1)
    assert scaling(tokens / 1000, accuracy) == pytest.approx(per_1k, abs=0.01)


def test_points_with_equal_tokens_have_no_slope_and_one_point_has_no_scaling():
    assert scaling(np.array([1.0, 1.0, 2.0]), np.array([0.0, 5.0, 10.0])) == pytest.approx(7.5)
    assert math.isnan(scaling(np.array([1.0]), np.array([3.0])))
    assert math.isnan(scaling(np.array([1.0, 1.0]), np.array([3.0, 4.0])))


def test_control_is_the_share_of_limits_that_were_kept():
    """Two class-conditional runs, the long one over its limit: the published 50 %."""
    assert control(np.array([8033.0, 9651.0]), [8192, 9000]) == 50
    assert control(np.array([10.0, 99.0]), [16, None]) == 100
    assert math.isnan(control(np.array([10.0]), [None]))


def anytime(folder, num_docs=40):
    """Right from 64 tokens on for half of the documents; one thought is longer than its limit."""
    rows = []
    for i in range(num_docs):
        points = {
            f"{name}@{budget}": value
            for budget in (16, 64, 256)
            for name, value in (
                ("exact_match", float(budget >= 64 and i % 2)),
                ("sampled_tokens", budget + 6.0),
                ("thinking_tokens", budget + 1.0 if (budget, i) == (16, 0) else float(budget)),
            )
        }
        rows.append(sample(i, exact_match=float(i % 2), **points))
    return write_run(folder, rows, "toy_budget", kwargs={"strategy": "budget"})


def test_an_anytime_run_is_a_curve(tmp_path):
    ((curve,), notes) = build_curves(load_runs([anytime(tmp_path)]).runs)
    assert not notes
    assert [(p.label, 100 * p.score, p.limit) for p in curve.points] == [
        ("16", 0, 16), ("64", 50, 64), ("256", 50, 256),
    ]  # fmt: skip
    figures = curve.figures()
    assert figures.control_percent == pytest.approx(200 / 3)  # the mean of budget 16 is over it
    assert figures.control_samples_percent == pytest.approx(100 * 119 / 120)
    assert figures.performance_percent == 50
    assert figures.scaling_per_doubling == pytest.approx((25 + 0 + 12.5) / 3, abs=0.05)
    low, high = figures.scaling_per_doubling_interval
    assert low < figures.scaling_per_doubling < high


def test_runs_at_several_budgets_are_a_curve_and_the_unit_is_named(tmp_path):
    for day, (budget, right) in enumerate([(128, 2), (512, 6), (2048, 8)], 1):
        rows = scored([1] * right + [0] * (10 - right), thinking_tokens=0.9 * budget)
        settings = {"strategy": "budget", "max_thinking_tokens": budget}
        write_run(tmp_path, rows, "toy_budget", day=day, kwargs=settings)
    ((curve,), _) = build_curves(load_runs([tmp_path]).runs)
    assert curve.unit == "thinking tokens"
    assert [(p.label, p.limit, 100 * p.score) for p in curve.points] == [
        ("128", 128, 20), ("512", 512, 60), ("2048", 2048, 80),
    ]  # fmt: skip
    assert curve.figures().control_percent == 100
    assert curve.figures().scaling_per_doubling == pytest.approx((20 + 15 + 10) / 3)


def test_the_limit_of_step_control_is_100_tokens_a_step(tmp_path):
    rows = scored([1], thinking_tokens=350.0)
    write_run(tmp_path, rows, kwargs={"prompt_style": "step", "thinking_steps": 4})
    ((curve,), _) = build_curves(load_runs([tmp_path]).runs)
    assert curve.points[0].limit == 400


def test_runs_of_different_setups_are_joined_only_when_asked(tmp_path):
    for name in "ab":
        write_run(tmp_path / name, scored([1, 0]), model_args={"pretrained": name})
    runs = load_runs([tmp_path]).runs
    assert len(build_curves(runs)[0]) == 2
    ((curve,), _) = build_curves(runs, join=True)
    assert (len(curve.points), curve.unit) == (2, "total tokens")


def test_a_run_without_tokens_is_noted(tmp_path):
    rows = [{**s, "metrics": ["exact_match"]} for s in scored([1])]
    curves, notes = build_curves(load_runs([write_run(tmp_path, rows)]).runs)
    assert not curves
    assert "has no token counts" in notes[0]


def test_text_and_data_of_a_curve_agree(tmp_path):
    curves, _ = build_curves(load_runs([anytime(tmp_path)]).runs)
    text = curve_report.render_curves(curves, "md")
    assert "| 64 | 70 | 64 | 64 | 100.0% | 50.0 (35.2 to 64.8) |" in text
    assert "scaling, points per doubling" in text
    (record,) = json.loads(curve_report.render_curves(curves, "json"))
    assert record["figures"]["performance_percent"] == 50
    assert curve_report.render_curves(curves, "csv").count("\n") == 4


def test_curves_are_drawn_at_the_tokens_that_were_sampled_where_all_are_known(tmp_path):
    ((curve,), _) = build_curves(load_runs([anytime(tmp_path / "a")]).runs)
    assert curve.costs == ("sampled tokens", [22, 70, 262])
    ((old,), _) = build_curves(load_runs([write_run(tmp_path / "b", scored([1]))]).runs)
    assert old.costs == ("total tokens", [100])


def test_plots_are_pictures_and_names_with_dollars_are_no_mathematics(tmp_path):
    pytest.importorskip("matplotlib")
    path = anytime(tmp_path)
    path.write_text(path.read_text().replace("models/base", "a$_{x}$<b>"))
    curves, _ = build_curves(load_runs([path]).runs)
    assert curve_report.render_curves(curves, "png").startswith(b"\x89PNG")
    page = curve_report.render_curves(curves, "html")
    assert "<svg" in page
    assert "<h2>toy: a$_{x}$&lt;b&gt; cot budget</h2>" in page


def test_a_missing_matplotlib_is_named_with_its_pip_line(tmp_path, monkeypatch):
    import sys

    from lm_eval_tts.errors import SettingsError

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    curves, _ = build_curves(load_runs([anytime(tmp_path)]).runs)
    with pytest.raises(SettingsError, match=r"pip install 'lm_eval_tts\[plot\]'"):
        curve_report.render_curves(curves, "png")


def test_a_run_of_samples_is_a_curve_for_each_rule_of_choice(tmp_path):
    """Accuracy against what k of the 4 samples cost; the chosen response's tokens say nothing."""
    by_k = {f"{rule}@{k}": k / 4 for rule in ("pass", "maj", "bon") for k in (1, 2, 4)}
    rows = [sample(i, coverage=1.0, sampled_tokens=800.0, **by_k) for i in range(5)]
    path = write_run(tmp_path, rows, kwargs={"strategy": "best_of_n"})
    curves = {curve.name: curve for curve in build_curves(load_runs([path]).runs)[0]}
    assert [name.rpartition(", ")[2] for name in curves][:3] == ["pass", "maj", "bon"]
    maj = next(curve for name, curve in curves.items() if name.endswith(", maj"))
    assert maj.unit == "sampled tokens"
    assert [(p.label, p.mean_tokens, 100 * p.score) for p in maj.points] == [
        ("1", 200, 25),
        ("2", 400, 50),
        ("4", 800, 100),
    ]
    (whole,) = next(curve for name, curve in curves.items() if "," not in name).points
    assert whole.mean_tokens == 800
