"""Loading weights from a folder without a progress bar; downloads keep theirs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers.utils import logging


@contextmanager
def without_bars(checkpoint: object) -> Iterator[None]:
    """Have transformers show no bars in this block if the checkpoint is a folder."""
    is_folder = isinstance(checkpoint, str) and Path(checkpoint).is_dir()
    hidden = is_folder and logging.is_progress_bar_enabled()
    if hidden:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if hidden:
            logging.enable_progress_bar()
