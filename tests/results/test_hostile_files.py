"""Whatever stands in a file, reading it ends in runs and named problems, never in an exception."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_mutations import changed, places
from results_helpers import scored, write_run

from lm_eval_tts.results.leaderboard import build_leaderboard
from lm_eval_tts.results.leaderboard_report import board_text
from lm_eval_tts.results.runs import load_runs
from lm_eval_tts.results.samples import read_sample_texts

pytestmark = pytest.mark.slow

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
    st.sampled_from(["toy_cot", "exact_match", "exact_match,none", "N/A", 10**400]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def read_everything(folder: Path) -> None:
    loaded = load_runs([folder])
    board = build_leaderboard(loaded.runs, loaded.unread)
    for form in ("md", "csv", "json"):
        board_text(board, form)
    for run in loaded.runs:
        list(read_sample_texts(run))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile")
    write_run(path, scored([1, 0]), day=1)
    write_run(path, scored([1, 1]), day=2, model_args={"pretrained": "other"})
    return path


QUIET = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@QUIET
@given(data=st.data())
def test_a_results_file_with_anything_in_any_place_is_read_or_named(folder, data):
    path = min(folder.glob("results_*.json"))
    good = path.read_text()
    content = json.loads(good)
    place = data.draw(st.sampled_from(list(places(content))))
    try:
        path.write_text(json.dumps(changed(content, place, data.draw(VALUES))))
        read_everything(folder)
    finally:
        path.write_text(good)


@QUIET
@given(data=st.data())
def test_a_samples_file_with_anything_in_any_place_is_read_or_named(folder, data):
    path = min(folder.glob("samples_*.jsonl"))
    good = path.read_text()
    row = json.loads(good.splitlines()[0])
    place = data.draw(st.sampled_from(list(places(row))))
    try:
        changed_row = json.dumps(changed(row, place, data.draw(VALUES)))
        path.write_text(f"{changed_row}\n{good.splitlines()[1]}\n")
        read_everything(folder)
    finally:
        path.write_text(good)
