"""What a package index shows of the project: its URLs, and the README with absolute links.

A metadata hook of hatchling. The address is that of the clone's remote `origin`, so no file repeats
it, and packages of a fork point to the fork. A clone of a folder has no public address: then there
are no URLs and the links stay as they are. A source distribution keeps what it was built with.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

# https://host/path, ssh://git@host:22/path, git@host:path; what stands before @ may be a password.
_REMOTE = re.compile(
    r"(?:https://|ssh://|(?=[^/@]+@))(?:[^/@]+@)?([\w-]+(?:\.[\w-]+)+)(?::\d+(?=/))?[:/](.+?)(?:\.git)?/?"
)
_LINK = re.compile(r"(!?)(\[[^\]]*\])\((?!\w+:|#)([^)]+)\)")
PAGES = {
    "Homepage": "",
    "Documentation": "/tree/HEAD/docs",
    "Changelog": "/blob/HEAD/CHANGELOG.md",
    "Issues": "/issues",
}


def address_of(remote: str) -> str:
    """Return the web address of a git remote; "" for a folder or a host without a public name."""
    match = _REMOTE.fullmatch(remote)
    return f"https://{match[1]}/{match[2]}" if match else ""


def absolute(markdown: str, address: str) -> str:
    """Return a text whose relative links and pictures lead to the files at an address."""
    return _LINK.sub(
        lambda m: f"{m[1]}{m[2]}({address}/{'raw' if m[1] else 'blob'}/HEAD/{m[3]})", markdown
    )


def origin_of(root: str) -> str:
    """Return the remote that a clone came from, "" if the folder is none or there is no git."""
    if not Path(root, ".git").exists() or not shutil.which("git"):  # .git may be of a parent
        return ""
    command = ["git", "-C", root, "config", "--get", "remote.origin.url"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


class PackageMetadata(MetadataHookInterface):
    """Fills the fields `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set what pyproject.toml calls dynamic."""
        address = address_of(origin_of(self.root))
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        shown = absolute(text, address) if address else text
        metadata["readme"] = {"content-type": "text/markdown", "text": shown}
        metadata["urls"] = {name: address + page for name, page in PAGES.items() if address}
