"""Reads the data files that come with the package."""

from pathlib import Path
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, where PyYAML was built with it


def read_yaml(path: Path) -> Any:
    """Return the content of a file of ours."""
    return LOADER(path.read_text(encoding="utf-8")).get_single_data()
