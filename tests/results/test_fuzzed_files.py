"""300 files with anything in any place: every command ends in its exit code, and JSON is JSON."""

import csv
import io
import json
from random import Random

import numpy as np
import pytest
from json_mutations import changed, mutated, places
from lm_eval.utils import handle_non_serializable as handle
from results_helpers import scored, write_run

from lm_eval_tts.cli import main
from lm_eval_tts.results.files import samples_file
from lm_eval_tts.results.formats import (
    csv_text,
    inline,
    json_text,
    markdown_table,
    printable,
    strict_json,
)
from lm_eval_tts.results.gate import GateCheck, GateVerdict, verdict_text

DEEP = "[" * 3000 + "]" * 3000
# What our own tasks note of a response.
CANDIDATE = {"text": "2", "answer": "2", "class": 0, "correct": True, "scores": {"reward": 0.5}}
CANDIDATE["last_step"] = 1
ANSWERED = {
    "answer": "2",
    "pieces": [["thinking", 21], ["answer", 8]],
    "points": {"16": "1"},
    "point_texts": {"16": [7, "1"]},
    "candidates": [CANDIDATE, CANDIDATE],
    "tree": [[-1, "1", 0.5], [0, " + 1", None]],
    "prompt": {"text": "1 + 1?", "num_tokens": 6},
}
NUM_SEEDS, SEEDS_A_TEST = 300, 20


def damaged(text: str, random: Random) -> bytes:
    """A line of JSON with another value in one place, another key, or damage to its bytes."""
    content, kind = json.loads(text), random.randrange(6)
    place = random.choice(list(places(content)))
    if kind == 0 and isinstance(place[-1], str):
        new = random.choice(["\ud800", "=x", "../../x", "a\nb"])
        return text.replace(json.dumps(place[-1]), json.dumps(new), 1).encode()
    if kind == 1:
        raw = bytearray(text.encode())
        for _ in range(3):
            raw[random.randrange(len(raw))] = random.randrange(256)
        return bytes(raw)
    if kind == 2:
        return json.dumps(changed(content, place, "DEEP")).replace('"DEEP"', DEEP).encode()
    return json.dumps(mutated(content, random)).encode()


def no_constant(name: str):
    raise AssertionError(f"{name} is not JSON")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzzed")
    rows = [{**row, "answered": ANSWERED} for row in scored([1, 0, 1])]
    write_run(path / "a", rows, day=1)
    write_run(path / "b", scored([1, 1, 0]), day=2, model_args={"pretrained": "other"})
    assert main(["gate", str(path / "a"), "--baseline", str(path / "base.json"), "--update"]) == 0
    return path


def commands(folder):
    a, b, base = folder / "a", folder / "b", folder / "base.json"
    for ending in ("json", "md", "csv", "html"):
        yield ["leaderboard", a, b, "-o", folder / f"board.{ending}"]
    yield ["curve", a, b, "-o", folder / "curve.json"]
    yield ["compare", a, b, "-o", folder / "compare.json"]
    yield ["compare", b, a]
    yield ["show", a]
    yield ["export", a, b, "-o", folder / "runs.csv"]
    yield ["export", a, b, "--samples", "-o", folder / "samples.csv"]
    yield ["gate", a, "--baseline", base, "--junit", folder / "gate.xml"]
    yield ["gate", a, "--baseline", folder / "new.json", "--update"]


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, NUM_SEEDS, SEEDS_A_TEST))
def test_every_command_ends_in_its_exit_code_whatever_stands_in_a_file(folder, capsys, first):
    files = [*sorted((folder / "a").iterdir()), folder / "base.json"]
    for seed in range(first, first + SEEDS_A_TEST):
        random = Random(seed)
        path = random.choice(files)
        good = path.read_text()
        lines = good.splitlines() if path.suffix == ".jsonl" else [good]
        place = random.randrange(len(lines))
        bad = damaged(lines[place], random)
        try:
            path.write_bytes(b"\n".join([x.encode() for x in lines[:place]] + [bad]) + b"\n")
            for command in list(commands(folder))[seed % 3 :: 3]:  # each meets a third of the files
                assert main(list(map(str, command))) in (0, 1, 2), (seed, command)
        finally:
            path.write_text(good)
        for out in folder.glob("*.json"):
            json.loads(out.read_text(), parse_constant=no_constant)
        said = capsys.readouterr()
        assert "\x1b" not in said.out + said.err
        assert "Traceback" not in said.err


def test_a_cell_that_a_spreadsheet_would_compute_is_text():
    record = {"a": "=1+1", "b": "@x", "c": -1.5, "d": ["-2", "x"], "e": "plain", "f": "+x"}
    (row,) = csv.DictReader(io.StringIO(csv_text([record])))
    assert row == {"a": "'=1+1", "b": "'@x", "c": "-1.5", "d": "'-2; x", "e": "plain", "f": "'+x"}


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_neither_cells_nor_headings_begin_as_a_formula_does(begin):
    lines = list(csv.reader(io.StringIO(csv_text([{f"{begin}a": f"{begin}b", "c": 1}]))))
    assert [lines[0][0][0], lines[1][0][0]] == ["'", "'"]


def test_markdown_has_no_link_and_no_picture_from_a_file():
    for hostile in ("![x](http://a.example/p)", "[x](javascript:alert(1))"):
        assert "](" not in markdown_table([["a"], [hostile]]) + inline(hostile)


def test_a_gate_prints_no_line_that_a_file_begins():
    check = GateCheck("t\n::stop-commands::x", "accuracy", "passed", "a\r\n::error::b\u2028c")
    text = verdict_text(GateVerdict((check,), ("\n::add-mask::y",)))
    assert len(text.splitlines()) == 3
    assert not [line for line in text.splitlines() if line.startswith(":")]


def test_a_text_cannot_turn_the_order_of_a_line():
    assert printable("a\u202eb\u2066c\u200ed") == "a\ufffdb\ufffdc\u200ed"


def test_markdown_has_no_html_no_new_line_and_no_new_cell_from_a_file():
    table = markdown_table([["a"], ["<img src=x>\n| b | \\| c"]])
    assert table.splitlines()[2] == r"| &lt;img src=x> \| b \| \\\| c |".replace(r"\\", "\\" * 2)
    assert len(table.splitlines()) == 3


def test_json_has_null_for_what_is_no_number_and_writes_lone_surrogates():
    text = json_text({"a": float("nan"), "b": [float("inf"), (1, float("-inf"))], "c": "\ud83d"})
    assert json.loads(text.encode(), parse_constant=no_constant) == {
        "a": None,
        "b": [None, [1, None]],
        "c": "\ud83d",
    }


def test_what_lm_eval_hands_over_is_written_as_json_too():
    """Its default= makes floats of numpy's numbers, and texts of all else."""
    text = strict_json(
        {"a": [np.float32("nan"), np.float64("inf")], "b": {1}, "c": "\udc00"}, default=handle
    )
    content = json.loads(text.encode(), parse_constant=no_constant)
    assert content == {"a": [None, None], "b": [1], "c": "\udc00"}


def test_a_terminal_is_sent_nothing_that_it_would_obey():
    assert printable("a\x1b[31m\tb\n\x9bc\udc80") == "a\ufffd[31m\tb\n\ufffdc\\udc80"


def test_a_task_cannot_name_samples_outside_of_its_folder(tmp_path):
    date = "2026-01-01T00-00-00.0"
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / f"s_{date}.jsonl").write_text("{}")
    results = tmp_path / "in" / f"results_{date}.json"
    (tmp_path / "in" / "samples_x").mkdir(parents=True)
    assert samples_file(results, "x/../../secret/s") is None
    assert samples_file(results, "..") is None
