"""The task files follow from the lists."""

import shutil
from pathlib import Path

from make_tasks import FOLDER, task_files, write


def files_in(folder: Path) -> dict[str, str]:
    """The text of every file in the folders of `folder`."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().decode()
        for path in folder.glob("*/**/*")
    }


def test_the_task_files_are_the_product_of_the_lists():
    assert files_in(FOLDER) == task_files()


def test_a_new_benchmark_and_a_new_strategy_are_an_entry_each_and_a_run(tmp_path):
    for name in ("_base", "_benchmarks", "_strategies", "_reasoning_gym"):
        shutil.copy(FOLDER / name, tmp_path)
    with (tmp_path / "_benchmarks").open("a") as file:
        file.write("\ndrills:\n  stock: [cot]\n  dataset_kwargs: {benchmark: drills}\n")
    with (tmp_path / "_strategies").open("a") as file:
        file.write(
            "\nshort:\n  all: {strategy: single, until: []}\n  drills: {until: null, n: 2}\n"
        )
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "gone_cot.yaml").write_text("task: gone_cot\n")
    write(tmp_path)
    have = files_in(tmp_path)
    assert set(task_files()) < set(have)
    assert not any("gone" in name for name in have)
    new = have.keys() - task_files().keys()
    assert {"drills/tts_drills_cot.yaml", "drills/tts_drills.yaml", "arith/arith_short.yaml"} <= new
    assert have["drills/drills_short.yaml"].splitlines()[1:] == [
        "include: ../_base",
        "task: drills_short",
        "tag: tts_short",
        "dataset_kwargs: {benchmark: drills}",
        "generation_kwargs: {strategy: single, n: 2}",
    ]
    assert "arith_short]" in have["arith/tts_arith.yaml"]
    assert "drills_short" not in have["drills/tts_drills.yaml"]
