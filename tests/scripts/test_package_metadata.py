"""What a package index shows: the address of the clone's remote, and links that lead there."""

import re
import subprocess
from pathlib import Path

import pytest
from package_metadata import PAGES, PackageMetadata, absolute, address_of

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ADDRESS = "https://github.com/someone/lm_eval_tts"


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/someone/lm_eval_tts",
        "https://github.com/someone/lm_eval_tts.git",
        "https://github.com/someone/lm_eval_tts/",
        "https://someone:secret@github.com/someone/lm_eval_tts.git",
        "git@github.com:someone/lm_eval_tts.git",
        "ssh://git@github.com/someone/lm_eval_tts.git",
        "ssh://git@github.com:22/someone/lm_eval_tts.git",
    ],
)
def test_every_way_to_write_a_remote_is_one_address_without_secrets(remote):
    assert address_of(remote) == ADDRESS


def test_a_group_of_a_group_keeps_its_whole_path():
    assert address_of("git@gitlab.com:a/b/c.git") == "https://gitlab.com/a/b/c"


@pytest.mark.parametrize(
    "remote",
    ["", "/srv/lm_eval_tts", "../lm_eval_tts", "file:///srv/lm_eval_tts", "C:/code/lm_eval_tts"],
)
def test_a_folder_has_no_address(remote):
    assert address_of(remote) == ""


def test_relative_links_and_pictures_of_the_readme_become_absolute_and_name_files_that_are_there():
    shown = absolute(README, ADDRESS)
    kinds = re.findall(rf"\({ADDRESS}/(blob|raw)/HEAD/([^)#]+)[^)]*\)", shown)
    assert len(kinds) > 15
    for kind, path in kinds:
        assert (ROOT / path).is_file()
        assert (kind == "raw") == path.endswith(".png")
    assert not re.search(r"\]\((?!https?:)", shown)


def test_what_is_no_link_stays_as_it_is():
    text = "[a](https://x.org/b) [c](#d) x[0] (e) `f[0]`"
    assert absolute(text, ADDRESS) == text


def test_the_pages_are_there():
    paths = [page.split("/HEAD/")[1] for page in PAGES.values() if "/HEAD/" in page]
    assert paths
    assert all((ROOT / path).exists() for path in paths)


def metadata_of(folder: Path) -> dict:
    (folder / "README.md").write_text("[a](docs/a.md)", encoding="utf-8")
    found: dict = {}
    PackageMetadata(str(folder), {}).update(found)
    return found


def test_a_clone_of_a_public_address_has_urls(tmp_path):
    for command in (["init", "-q"], ["remote", "add", "origin", f"{ADDRESS}.git"]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    found = metadata_of(tmp_path)
    assert found["urls"]["Homepage"] == ADDRESS
    assert set(found["urls"]) == set(PAGES)
    assert f"({ADDRESS}/blob/HEAD/docs/a.md)" in found["readme"]["text"]


def test_without_a_clone_of_its_own_there_are_none(tmp_path):
    for command in (["init", "-q"], ["remote", "add", "origin", f"{ADDRESS}.git"]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    inner = tmp_path / "unpacked"
    inner.mkdir()
    found = metadata_of(inner)
    assert found == {
        "readme": {"content-type": "text/markdown", "text": "[a](docs/a.md)"},
        "urls": {},
    }
