"""The journal as a file: what is in it survives, damage is seen, who may not write is refused."""

import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm_eval_tts.core.journal import Journal
from lm_eval_tts.errors import SettingsError

RUN = {"weights": "aaaa", "dtype": "float32"}


def filled(folder, n: int = 3, rank: int = 0):
    """A closed journal with n results; returns its file."""
    with Journal(folder, RUN, rank) as journal:
        for i in range(n):
            journal.add(f"key{rank}{i}", {"value": [i]})
    return folder / f"rank{rank}.journal"


def test_results_come_back_in_another_process_as_they_were(tmp_path):
    with Journal(tmp_path, RUN) as journal:
        assert journal.get("a") is None
        assert journal.add("a", [1, "two", None, float("inf"), 0.1 + 0.2])
    with Journal(tmp_path, RUN) as journal:
        assert journal.get("a") == [1, "two", None, float("inf"), 0.1 + 0.2]
        assert len(journal) == 1


def test_the_first_result_of_a_key_stays(tmp_path):
    with Journal(tmp_path, RUN) as journal:
        assert journal.add("a", 1)
        assert not journal.add("a", 2)
        assert journal.get("a") == 1


def test_a_result_is_in_the_file_before_add_returns(tmp_path):
    journal = Journal(tmp_path, RUN)
    size = (tmp_path / "rank0.journal").stat().st_size
    journal.add("a", 1)
    assert (tmp_path / "rank0.journal").stat().st_size > size
    journal.close()


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(min_value=1, max_value=400))
def test_cut_anywhere_the_file_keeps_every_whole_record(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("cut")
    path = filled(folder, 6)
    content = path.read_bytes()
    head, *records = content.splitlines(keepends=True)
    left = max(len(head), len(content) - cut)
    path.write_bytes(content[:left])
    whole = sum(len(head) + sum(map(len, records[: i + 1])) <= left for i in range(6))
    with Journal(folder, RUN) as journal:
        assert len(journal) == whole
        journal.add("new", 7)
    with Journal(folder, RUN) as journal:
        assert [journal.get(f"key0{i}") for i in range(whole)] == [
            {"value": [i]} for i in range(whole)
        ]
        assert journal.get("new") == 7


def test_a_torn_last_record_is_dropped_with_a_note(tmp_path, caplog):
    path = filled(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    with Journal(tmp_path, RUN) as journal:
        assert len(journal) == 2
    assert "the last record was torn" in caplog.text


def test_a_damaged_record_in_the_middle_costs_only_itself(tmp_path, caplog):
    path = filled(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:20] + b"X" + lines[2][21:]
    path.write_bytes(b"".join(lines))
    with Journal(tmp_path, RUN) as journal:
        assert (journal.get("key00"), journal.get("key01")) == ({"value": [0]}, None)
        assert journal.get("key02") == {"value": [2]}
    assert "1 damaged records" in caplog.text


def test_another_run_is_refused_by_the_name_of_what_differs(tmp_path):
    filled(tmp_path)
    with pytest.raises(SettingsError, match="dtype was float32, is bfloat16") as error:
        Journal(tmp_path, {**RUN, "dtype": "bfloat16"})
    assert "weights" not in str(error.value)
    Journal(tmp_path, RUN).close()  # the refusal has let the lock go


def test_a_task_with_other_settings_or_prompts_is_refused(tmp_path):
    with Journal(tmp_path, RUN) as journal:
        journal.check_task("t", {"num_waits": "1"}, {"0": "p", "1": "q"})
    with Journal(tmp_path, RUN) as journal:
        journal.check_task("t", {"num_waits": "1"}, {"1": "q", "2": "r"})  # more documents
        journal.check_task("u", {"num_waits": "9"}, {"0": "z"})
    with Journal(tmp_path, RUN) as journal:
        with pytest.raises(SettingsError, match="task t: num_waits was 1, is 2"):
            journal.check_task("t", {"num_waits": "2"}, {})
        with pytest.raises(SettingsError, match=r"another version of task t: .* document 2"):
            journal.check_task("t", {"num_waits": "1"}, {"2": "other"})


def test_a_second_process_is_refused_and_a_dead_one_is_not_in_the_way(tmp_path):
    code = (
        "import sys, os, signal\nfrom lm_eval_tts.core.journal import Journal\n"
        f"j = Journal({str(tmp_path)!r}, {RUN!r})\nj.add('a', 1)\nprint('open', flush=True)\n"
        "sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "open\n"
    with pytest.raises(SettingsError, match="being written by another process"):
        Journal(tmp_path, RUN)
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    with Journal(tmp_path, RUN) as journal:
        assert journal.get("a") == 1


def test_each_rank_writes_its_own_file_and_reads_all(tmp_path):
    filled(tmp_path, 2, rank=0)
    filled(tmp_path, 3, rank=1)
    with Journal(tmp_path, RUN, rank=0) as journal:
        assert len(journal) == 5
        assert journal.get("key12") == {"value": [2]}
        journal.add("key12", "not again")
    assert len(list(tmp_path.glob("rank*.journal"))) == 2


def test_a_file_that_is_no_journal_is_left_alone(tmp_path):
    path = tmp_path / "rank0.journal"
    path.write_text("my thesis, which happens to have this name\n")
    with pytest.raises(SettingsError, match="is not a journal of this package"):
        Journal(tmp_path, RUN)
    assert path.read_text().startswith("my thesis")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_on_a_full_disk_results_stay_in_memory_and_are_written_later(tmp_path, caplog):
    with Journal(tmp_path, RUN) as journal:
        journal.add("a", 1)
        disk, journal._file = journal._file, open("/dev/full", "ab", buffering=0)  # noqa: SIM115
        journal.add("b", 2)
        journal.add("c", 3)
        assert (journal.get("b"), len(journal)) == (2, 3)
        assert caplog.text.count("cannot be written (No space left on device)") == 1
        journal._file.close()
        journal._file = disk
        journal.add("d", 4)
    with Journal(tmp_path, RUN) as journal:
        assert [journal.get(key) for key in "abcd"] == [1, 2, 3, 4]


def test_a_folder_that_cannot_be_written_is_said_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"journal='.*file/x' cannot be written"):
        Journal(tmp_path / "file" / "x", RUN)
    with pytest.raises(SettingsError, match="journal='/proc/x' cannot be written"):
        Journal("/proc/x", RUN)


def torn(head: bytes) -> dict[str, bytes]:
    return {"empty": b"", "half": head[: len(head) // 2], "zeros": bytes(4096), "flip": b"X" + head}


@pytest.mark.parametrize("how", ["empty", "half", "zeros", "flip"])
def test_a_damaged_head_costs_its_own_file_and_no_other(tmp_path, caplog, how):
    filled(tmp_path, 2, rank=0)
    path = filled(tmp_path, 3, rank=1)
    head, *records = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(torn(head)[how] + (b"".join(records) if how == "flip" else b""))
    with Journal(tmp_path, RUN, rank=0) as journal:
        assert len(journal) == 2
    assert "rank1.journal" in caplog.text
    with Journal(tmp_path, RUN, rank=1) as journal:  # its own writer begins it anew
        journal.add("new", 1)
    with Journal(tmp_path, RUN, rank=0) as journal:
        assert (len(journal), journal.get("new")) == (3, 1)


def test_a_record_with_a_right_checksum_and_wrong_content_costs_itself(tmp_path, caplog):
    path = filled(tmp_path)
    for body in (b"key00 !!!", b"key07 bm8=", b"task bm8=", b"\xff\xfe x"):
        with path.open("ab") as file:
            file.write(b"%08x %s\n" % (zlib.crc32(body), body))
    with Journal(tmp_path, RUN) as journal:
        assert journal.get("key00") == {"value": [0]}
        assert journal.get("key07") is None
        assert "a result is computed again" in caplog.text
        assert journal.add("key07", 7)
        assert journal.get("key07") == 7


@pytest.mark.parametrize("name", ["rank0.journal", "rank0.lock", "rank0.new"])
@pytest.mark.parametrize("kind", ["folder", "link", "dangling"])
def test_links_and_folders_in_place_of_its_files_are_one_clear_line(tmp_path, name, kind):
    folder, mine = tmp_path / "journal", tmp_path / "mine"
    folder.mkdir()
    if kind == "link":
        mine.write_text("precious")
    if kind == "folder":
        (folder / name).mkdir()
    else:
        (folder / name).symlink_to(mine)
    with pytest.raises(SettingsError, match=rf"{name} is a (link|folder), not a file: remove it"):
        Journal(folder, RUN)
    assert mine.exists() == (kind == "link")
    assert kind != "link" or mine.read_text() == "precious"


@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        lambda odd: odd.symlink_to("nowhere"),
        pytest.param(
            lambda odd: os.mkfifo(odd),
            marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes"),
        ),
    ],
    ids=["folder", "dangling link", "named pipe"],
)
def test_odd_files_in_the_folder_are_left_out_with_a_line(tmp_path, caplog, make):
    filled(tmp_path)
    make(tmp_path / "rank7.journal")
    with Journal(tmp_path, RUN) as journal:
        assert len(journal) == 3
    assert "rank7.journal is left out" in caplog.text


def test_a_folder_that_is_removed_meanwhile_is_said_and_nothing_breaks(tmp_path, caplog):
    folder = tmp_path / "journal"
    filled(folder)
    with Journal(folder, RUN) as journal:
        shutil.rmtree(folder)
        assert journal.get("key00") is None  # it is computed again
        journal.add("key00", 0)
        journal.close()
        assert "was removed or can no longer be reached" in journal.lost
    assert caplog.text.count("was removed or can no longer be reached") == 1
