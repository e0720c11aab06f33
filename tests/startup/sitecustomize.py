"""Read at the start of every Python that tests start: a test run parses lm_eval's task files once.

lm_eval parses its nearly 14,000 files in each process, for some ten seconds. conftest.py names a
file for what they hold; the first process that needs it writes it. The files of a user and of this
package are parsed as ever, and lm_eval makes its index as ever.
"""

import contextlib
import marshal
import os
import sys
from pathlib import Path

FILE = "LM_EVAL_TTS_TEST_TASKS"


def parse_once(index) -> None:
    """Have the index (the module `lm_eval.tasks._index`) take lm_eval's files as parsed before."""
    stock, build, parse = Path(index.__file__).parent, index.TaskIndex.build, index.load_yaml

    def build_from_parsed(paths, **options):
        parsed = parsed_files(stock, index) if stock in paths else {}
        index.load_yaml = lambda path, **how: parsed.get(str(path)) or parse(path, **how)
        try:
            return build(paths, **options)
        finally:
            index.load_yaml = parse

    index.TaskIndex.build = staticmethod(build_from_parsed)


def parsed_files(stock: Path, index) -> dict[str, dict]:
    """Return the content of lm_eval's files that can be parsed, by their paths."""
    file = Path(os.environ[FILE])
    if not file.exists():
        parsed = {}
        for path in index.TaskIndex._iter_yaml_files(stock):
            with contextlib.suppress(Exception):
                parsed[str(path)] = index.load_yaml(path, resolve_func=False)
        part = file.with_suffix(f".{os.getpid()}")  # whole or not at all: a process may be killed
        part.write_bytes(marshal.dumps(parsed))
        part.replace(file)
    return marshal.loads(file.read_bytes())


if FILE in os.environ and (hook := sys.modules.get("lm_eval_tts.harness.autoload")):
    hook._PATCHES["lm_eval.tasks._index"] = parse_once
