"""What the site of mkdocs.yml has beside docs/: README and CONTRIBUTING as pages, and no link that
leads out of it: a file of the repository is shown by its name."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md"}
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#:\s]+)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that stand beside docs/."""
    for source, target in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, target, content=inside(text, ROOT)))
    return files


def on_page_markdown(markdown: str, **unused: Any) -> str:
    """Keep a page's links within the site."""
    return inside(markdown, ROOT / "docs")


def inside(text: str, folder: Path) -> str:
    """Return a page of a folder with its links as the site has them."""

    def put(match: re.Match[str]) -> str:
        words, link, anchor = match.groups()
        path = (folder / link).resolve()
        name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""
        if name in PAGES:
            return f"[{words}]({PAGES[name]}{anchor or ''})"
        if path.parent.is_relative_to(ROOT / "docs") and path.exists():
            return f"[{words}]({path.relative_to(ROOT / 'docs').as_posix()}{anchor or ''})"
        return match[0] if not path.exists() else f"{words} (`{name}`)"

    images = text.replace("![accuracy against tokens](docs/", "![accuracy against tokens](")
    return LINK.sub(put, images)
