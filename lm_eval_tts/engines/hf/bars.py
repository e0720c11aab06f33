"""Loading weights from a folder without a progress bar; downloads keep theirs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers.utils import logging


@contextmanager
def without_bars(checkpoint: object) -> Iterator[None]:
    """Have transformers show no bars in this block if the checkpoint is a folder."""
    shown = logging.is_progress_bar_enabled()
    if isinstance(checkpoint, str) and Path(checkpoint).is_dir():
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
