"""What would be spawned, forked from a server that has the libraries in memory.

vLLM spawns an engine, the engine its workers, and each of them imports vLLM for ten seconds. Forked
from the server of multiprocessing they are as new, but for the imports.
"""

import os
from functools import partial
from multiprocessing import context, forkserver, popen_forkserver


def by_the_server() -> None:
    """Have this process, and all that it starts so, ask the fork server where it would spawn."""
    context.SpawnProcess._Popen = staticmethod(_start)


def within_the_server() -> None:
    """The same for what the server forks, which asks that server and starts none of its own."""
    by_the_server()
    forkserver._forkserver.ensure_running = lambda: None


def _start(process: context.SpawnProcess) -> popen_forkserver.Popen:
    process._target = partial(_be, dict(os.environ), process._target)
    return popen_forkserver.Popen(process)


def _be(environment: dict[str, str], target, *arguments, **options) -> None:
    """The server has the environment of its own start."""
    os.environ.clear()
    os.environ.update(environment)
    target(*arguments, **options)
