"""Runs to a leaderboard: rows, ranks, what is not comparable, and its forms."""

import csv
import io
import json

import pytest
from results_helpers import sample, scored, write_run
from rich.console import Console

from lm_eval_tts.results.leaderboard import build_leaderboard
from lm_eval_tts.results.leaderboard_report import board_terminal, board_text, in_script, page_parts
from lm_eval_tts.results.runs import load_runs

OURS = {"strategy": "single", "prompt_style": "cot"}
NEWER = {"grader": 9, "config_source": "task_configs/toy/_"}


def board_of(*paths):
    loaded = load_runs(paths)
    return build_leaderboard(loaded.runs, loaded.unread)


def model(name: str, **more: str) -> dict[str, str]:
    return {"pretrained": name, **more}


def test_a_checkpoint_has_one_row_for_each_strategy_and_one_cell_for_each_benchmark(tmp_path):
    write_run(tmp_path / "1", scored([1, 0]), "toy_cot")
    write_run(tmp_path / "2", scored([1, 1]), "hard_cot")
    write_run(tmp_path / "3", scored([1, 1]), "toy_r1", kwargs={"prompt_style": "r1"})
    write_run(
        tmp_path / "4", scored([1, 1]), "toy_cot", model_args=model("models/base", peft="lora")
    )
    board = board_of(tmp_path)
    cells = [(row.setup.prompt_style, row.setup.adapter, sorted(row.cells)) for row in board.rows]
    assert board.benchmarks == ["hard", "toy"]
    want = [("cot", None, ["hard", "toy"]), ("r1", None, ["toy"]), ("cot", "lora", ["toy"])]
    assert sorted(cells, key=str) == sorted(want, key=str)


def test_ranks_are_shared_where_the_difference_is_not_significant(tmp_path):
    base = [1] * 60 + [0] * 40
    write_run(tmp_path / "a", scored(base), model_args=model("a"))
    write_run(tmp_path / "b", scored([0, *base[1:]]), model_args=model("b"))
    write_run(tmp_path / "c", scored([0] * 40 + base[40:]), model_args=model("c"))
    board = board_of(tmp_path)
    assert [(r.setup.checkpoint, r.cells["toy"].rank) for r in board.rows] == [
        ("a", 1), ("b", 1), ("c", 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "changes", "mark"),
    [
        (scored([1] * 4), {}, "4 problems, others 8"),
        (scored([1] * 8, doc={"question": "other"}), {}, "other problems"),
        (scored([1] * 8, doc={"options": {"A": "2", "B": "1"}}), {}, "other problems"),
        (scored([1] * 8), {"versions": {"toy_cot": 2.0}}, "task version 2, others 1"),
        (
            scored([1] * 8),
            {"configs": {"toy_cot": {"generation_kwargs": OURS, "metadata": NEWER}}},
            "grader version 9, others 1",
        ),
    ],
    ids=["limit", "data", "options", "task", "grader"],
)  # fmt: skip
def test_a_row_that_is_not_comparable_is_marked_and_not_ranked(tmp_path, rows, changes, mark):
    for name in "ab":
        write_run(tmp_path / name, scored([1] * 7 + [0]), model_args=model(name))
    write_run(tmp_path / "odd", rows, model_args=model("odd"), **changes)
    cells = {row.setup.checkpoint: row.cells["toy"] for row in board_of(tmp_path).rows}
    assert cells["odd"].marks == (mark,)
    assert cells["odd"].rank is None
    assert not cells["odd"].fronts
    assert cells["a"].rank == cells["b"].rank == 1


def test_a_metric_that_is_no_share_is_shown_and_not_ranked(tmp_path):
    write_run(tmp_path, scored([12.5, 3.5]))
    ((cell,),) = [row.cells.values() for row in board_of(tmp_path).rows]
    assert cell.marks == ("its metric is not a share, so it is not ranked",)
    assert cell.run.accuracy == 8


def test_the_same_questions_with_shuffled_options_are_kept_apart_from_other_data(tmp_path):
    for name, options in (("a", "xy"), ("b", "xy"), ("odd", "yx")):
        rows = scored([1] * 4, doc={"options": dict(zip("AB", options, strict=True))})
        write_run(tmp_path / name, rows, model_args=model(name))
    cells = {row.setup.checkpoint: row.cells["toy"] for row in board_of(tmp_path).rows}
    assert cells["odd"].marks == ("other answers or options, or in another order",)


def test_runs_without_samples_are_ranked_by_their_totals(tmp_path):
    for name, scores in (("a", [1] * 90 + [0] * 10), ("b", [1] * 40 + [0] * 60)):
        write_run(tmp_path / name, scored(scores), model_args=model(name))
        (samples,) = (tmp_path / name).glob("samples_*")
        samples.unlink()
    board = board_of(tmp_path)
    assert [row.cells["toy"].rank for row in board.rows] == [1, 2]
    assert board.rows[0].cells["toy"].interval.low == pytest.approx(0.8256, abs=1e-3)


def test_of_equal_runs_the_newest_counts_and_the_older_is_noted(tmp_path):
    write_run(tmp_path, scored([0, 0]), day=1)
    write_run(tmp_path, scored([1, 1]), day=2)
    board = board_of(tmp_path)
    (row,) = board.rows
    assert row.cells["toy"].run.accuracy == 1
    assert "a newer run of toy_cot of models/base is shown" in board.notes[0]


def test_a_later_trial_on_few_problems_replaces_no_larger_run(tmp_path):
    write_run(tmp_path, scored([1] * 5), day=1)
    write_run(tmp_path, scored([0] * 5), day=2)
    write_run(tmp_path, scored([1, 1]), day=3)
    board = board_of(tmp_path)
    assert board.rows[0].cells["toy"].run.accuracy == 0
    assert "a larger (5) run of toy_cot of models/base is shown" in board.notes[1]


def test_short_trials_do_not_take_the_rank_of_a_whole_run(tmp_path):
    write_run(tmp_path / "whole", scored([1] * 200), "toy_budget")
    for task in ("toy_cot", "toy_r1"):
        write_run(tmp_path / task, scored([1, 1]), task)
    ranks = {row.cells["toy"].run.task: row.cells["toy"].rank for row in board_of(tmp_path).rows}
    assert ranks == {"toy_budget": 1, "toy_cot": None, "toy_r1": None}


def test_what_a_problem_cost_decides_and_not_the_length_of_what_was_chosen(
    tmp_path,
):
    vote = scored([1, 1, 1, 0], total_tokens=128.0, sampled_tokens=1034.0)
    greedy = scored([1, 1, 1, 0], total_tokens=129.0, sampled_tokens=129.0)
    write_run(tmp_path / "a", vote, "toy_maj", kwargs={"strategy": "self_consistency"})
    write_run(tmp_path / "b", greedy, "toy_r1")
    first, second = board_of(tmp_path).rows
    assert first.cells["toy"].run.task == "toy_r1"
    assert "sampled_tokens" in first.cells["toy"].fronts
    assert "sampled_tokens" not in second.cells["toy"].fronts


def test_only_variants_of_our_benchmarks_share_a_tab(tmp_path):
    for task in ("my_gsm", "my_rep", "mmlu_pro_law"):
        write_run(tmp_path / task, scored([1, 0]), task, tasks="mine")
    for task in ("toy_maj", "toy_budget"):
        write_run(tmp_path / task, scored([1, 0]), task)
    stock = {"configs": {"gsm8k_cot": {"generation_kwargs": {"strategy": "budget"}}}}
    write_run(tmp_path / "1", scored([1, 0]), "gsm8k_cot", **stock)
    write_run(tmp_path / "2", scored([1, 0]), "gsm8k_cot", model="hf", configs={"gsm8k_cot": {}})
    board = board_of(tmp_path)
    assert board.benchmarks == ["gsm8k_cot", "mmlu_pro_law", "my_gsm", "my_rep", "toy"]
    assert sum("gsm8k_cot" in row.cells for row in board.rows) == 2


def test_points_of_an_anytime_run_and_pass_at_k_of_repeats_are_kept(tmp_path):
    some = {"exact_match@16": 0.0, "thinking_tokens@16": 16.0, "sampled_tokens@16": 20.0}
    some |= {"exact_match@64": 1.0, "thinking_tokens@64": 60.0}
    repeats = {"repeats": [{"answer": "1"}] * 4}
    rows = [sample(i, exact_match=0.25, answered=repeats, **some) for i in range(4)]
    write_run(tmp_path, rows)
    (row,) = board_of(tmp_path).rows
    cell = row.cells["toy"]
    assert [(p.label, p.mean_tokens, p.score) for p in cell.points] == [
        ("16", 16, 0),
        ("64", 60, 1),
    ]
    points = json.loads(board_text(board_of(tmp_path), "json"))["rows"][0]["points"]
    assert [(p["sampled_tokens"], p["thinking_tokens"]) for p in points] == [(20, 16), (None, 60)]
    assert "'" not in board_text(board_of(tmp_path), "csv")  # no Python in it
    assert cell.pass_at == pytest.approx({1: 0.25, 2: 0.5, 4: 1.0})  # 1 of 4 right: k / 4


@pytest.mark.parametrize("scores", [[100.0, 0.25], [0.3, 0.25]])
def test_what_is_no_count_of_right_samples_has_no_pass_at_k(tmp_path, scores):
    """Tokens as the metric of a board, and partial credit."""
    repeats = {"repeats": [{"answer": "1"}] * 4}
    rows = [sample(i, exact_match=score, answered=repeats) for i, score in enumerate(scores)]
    write_run(tmp_path, rows)
    assert board_of(tmp_path).rows[0].cells["toy"].pass_at == {}


def test_markdown_csv_and_json_say_the_same_and_what_is_missing(tmp_path):
    write_run(tmp_path / "a", scored([1, 0]), model_args=model("a|b"))
    stock = [{**s, "metrics": ["exact_match"]} for s in scored([0, 0])]
    write_run(tmp_path / "b", stock, model="hf", model_args=model("stock"))
    board = board_of(tmp_path)
    markdown = board_text(board, "md")
    assert "| 1 | a\\|b | cot | single | 50.0 (9.5–90.5) | 100 | 0.0% | 12.5 | 2 |" in markdown
    assert "| 1 | stock | – | hf | 0.0 (0.0–65.8) | – | – | 12.5 | 2 |" in markdown
    lines = list(csv.DictReader(io.StringIO(board_text(board, "csv"))))
    rows = json.loads(board_text(board, "json"))["rows"]
    assert (
        [line["checkpoint"] for line in lines]
        == [r["checkpoint"] for r in rows]
        == ["a|b", "stock"]
    )
    assert (lines[1]["total_tokens"], rows[1]["total_tokens"]) == ("", None)
    assert float(lines[0]["low"]) == rows[0]["low"] == pytest.approx(0.0945, abs=1e-3)


def test_a_second_task_of_a_benchmark_with_the_same_setup_gets_a_row(tmp_path):
    """A stock model takes no notice of prompt styles, so its setups are equal."""
    for task in ("toy_cot", "toy_r1"):
        write_run(tmp_path / task, scored([1]), task, model="hf")
    assert len(board_of(tmp_path).rows) == 2


def test_data_in_the_page_cannot_end_its_script_element(tmp_path):
    hostile = "</script><script>alert(1)</script><!-- {{samples}} {{js}}"
    write_run(tmp_path, scored([1]), model_args=model(hostile))
    page = "".join(page_parts(board_of(tmp_path), title=hostile))
    assert "alert(1)</script>" not in page
    assert page.count("<title>") == 1
    assert "&lt;/script&gt;" in page.split("</title>")[0]
    assert json.loads(in_script({"a": hostile})) == {"a": hostile}
    text = page.split('id="board">')[1].split("</script>")[0]
    assert json.loads(text)["rows"][0]["checkpoint"] == hostile


def test_a_terminal_of_80_columns_has_room_for_the_board(tmp_path, capsys):
    settings = {"strategy": "budget", "max_thinking_tokens": [16, 32, 64, 128, 256]}
    write_run(tmp_path / "1", scored([1, 0]), kwargs=settings, model_args=model("owner/a-model"))
    write_run(tmp_path / "2", scored([1, 1]), model_args=model("b", peft="[bold]lora"))
    Console(width=80).print(board_terminal(board_of(tmp_path)))
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "[bold]lora" in said  # a name is no markup
    assert "100.0" in said
    for line in ("owner/a-model", "budget", "-o board.md"):
        assert line in said


def test_a_terminal_has_the_reasons_for_no_rank_below_the_table(tmp_path, capsys):
    write_run(tmp_path / "1", scored([1] * 20), model_args=model("whole"))
    write_run(tmp_path / "2", scored([1] * 10), model_args=model("half"))
    Console(width=80).print(board_terminal(board_of(tmp_path)))
    said = capsys.readouterr().out
    assert "– not ranked: 10 problems, others 20" in said
    assert max(map(len, said.splitlines())) <= 80
