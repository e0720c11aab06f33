"""The one table of metrics, and what must agree with it."""

from dataclasses import fields
from pathlib import Path

import yaml

from lm_eval_tts.core.metrics import COSTS, METRIC, METRICS
from lm_eval_tts.harness.names import task_configs
from lm_eval_tts.harness.response import USAGE_METRICS, Usage


def test_the_tasks_list_every_metric_that_they_record_with_its_direction():
    text = (Path(task_configs()) / "_base").read_text(encoding="utf-8").replace("!function", "")
    listed = {m["metric"]: m["higher_is_better"] for m in yaml.safe_load(text)["metric_list"]}
    assert listed == {m.name: m.higher_is_better for m in METRICS if m.recorded}


def test_every_count_of_a_response_is_a_metric():
    assert set(USAGE_METRICS) == {field.name for field in fields(Usage)} - {"tries"}


def test_names_and_headings_are_unique_and_what_is_shown_has_a_heading():
    assert len(METRIC) == len(METRICS)
    for words in ("heading", "compared", "flag", "usage"):
        said = [word for metric in METRICS if (word := getattr(metric, words))]
        assert len(said) == len(set(said))
    assert all(metric.heading for metric in METRICS if metric.column or metric.margin < 1)
    assert all(METRIC[cost].column and not METRIC[cost].higher_is_better for cost in COSTS)
