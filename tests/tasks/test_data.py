"""Benchmark rows to documents."""

import json
from pathlib import Path

import pytest
import yaml

from lm_eval_tts.errors import DataError
from lm_eval_tts.harness.names import task_configs
from lm_eval_tts.tasks.data import choices, load_benchmark

HUB = {"path": "someone/nothing", "split": "test"}
COLUMNS = {"id": "id", "question": "problem", "answer": "answer"}
ROW = {"id": 1, "problem": "1+1?", "answer": 2, "solution": "2"}


def write(folder: Path, *rows: dict, name: str = "toy.jsonl") -> str:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder)


def load(folder: str, **changes) -> list[dict]:
    arguments = {"benchmark": "toy", "hub": HUB, "columns": COLUMNS, "data_dir": folder, **changes}
    return list(load_benchmark(**arguments, pretrained="ignored", version=1)["test"])


def test_columns_become_fields_and_nothing_else_is_kept(tmp_path):
    folder = write(tmp_path, ROW)
    assert load(folder) == [{"id": "1", "question": "1+1?", "answer": "2"}]


def test_a_column_that_a_row_may_lack_is_a_field_where_it_is_there(tmp_path):
    folder = write(tmp_path, {**ROW, "domain": "sums"}, {**ROW, "id": 2})
    docs = load(folder, more_columns={"category": "domain"})
    assert [doc["category"] for doc in docs] == ["sums", None]


def test_the_folder_may_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LM_EVAL_TTS_DATA", write(tmp_path, ROW))
    assert load(None)[0]["answer"] == "2"


def test_a_row_without_an_id_has_its_number(tmp_path):
    columns = {"question": "problem", "answer": "answer"}
    docs = load(write(tmp_path, ROW, ROW), columns=columns)
    assert [doc["id"] for doc in docs] == ["0", "1"]


def test_gsm8k_answers_are_what_follows_the_mark(tmp_path):
    row = {**ROW, "answer": "It is 600 + 634.\n#### 1,234"}
    assert load(write(tmp_path, row), answer_after="####")[0]["answer"] == "1234"


def test_several_answers_are_one_list(tmp_path):
    assert load(write(tmp_path, {**ROW, "answer": ["$2$", "$3$"]}))[0]["answer"] == "$2$, $3$"


def test_a_line_separator_inside_a_text_does_not_end_a_row(tmp_path):
    row = {**ROW, "problem": "one\u2028two\x85three"}
    assert load(write(tmp_path, row))[0]["question"] == row["problem"]


TEXTS = ["right", "wrong", "worse", "worst"]


def test_options_are_shuffled_by_the_record_alone():
    assert choices("rec7", TEXTS) == choices("rec7", [TEXTS[0], *TEXTS[:0:-1]])
    assert choices("rec7", TEXTS) == {
        "options": {"A": "worst", "B": "wrong", "C": "worse", "D": "right"},
        "answer": "D",
    }


def test_the_right_letter_is_as_often_each_of_the_four():
    letters = [choices(f"rec{i}", TEXTS)["answer"] for i in range(4000)]
    for letter in "ABCD":
        assert abs(letters.count(letter) - 1000) < 120


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "has no rows"),
        ([{"id": 1, "problem": "x"}], r"row 1: no column 'answer'; has \['id', 'problem'\]"),
        ([ROW, ROW], "the id '1' occurs 2 times"),
    ],
)
def test_wrong_data_is_named(tmp_path, rows, message):
    folder = write(tmp_path, *rows)
    with pytest.raises(DataError, match=message):
        load(folder)


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "toy.jsonl").write_bytes(b'{"id": "\xff"}\n')
    with pytest.raises(DataError, match=r"toy\.jsonl is not JSON lines in UTF-8"):
        load(str(tmp_path))


def test_a_missing_folder_is_named():
    with pytest.raises(DataError, match="data folder '/nowhere' does not exist"):
        load("/nowhere")


def test_without_data_the_error_says_both_ways_to_get_it(tmp_path):
    with pytest.raises(DataError, match=r"LM_EVAL_TTS_DATA=.*data_dir"):
        load(str(tmp_path))


def test_gpqa_names_its_licence(tmp_path):
    hub = {"path": "Idavidrein/gpqa", "name": "gpqa_main", "split": "train"}
    with pytest.raises(DataError, match=r"accept its licence at .*/Idavidrein/gpqa and log in"):
        load(str(tmp_path), hub=hub)


@pytest.mark.parametrize(
    ("benchmark", "size"), [("math500", 500), ("aime24", 30), ("gpqa_main", 448)]
)
def test_the_real_benchmarks_load_from_their_hub_columns(shared_data, benchmark, size):
    path = Path(task_configs()) / benchmark / f"{benchmark}_r1.yaml"
    arguments = yaml.safe_load(path.read_text())["dataset_kwargs"]
    docs = list(load_benchmark(**arguments, data_dir=str(shared_data))["test"])
    assert len(docs) == size
    assert all(doc["question"] and doc["answer"] for doc in docs)
    if benchmark == "gpqa_main":
        assert {doc["answer"] for doc in docs} == set("ABCD")
        assert all(list(doc["options"]) == list("ABCD") for doc in docs)


def test_a_task_on_our_base_that_names_no_data_is_told_how():
    with pytest.raises(DataError, match="custom_dataset: null"):
        load_benchmark(data_dir="data", device="cpu")
