"""Which model arguments decide what is answered (arguments.yaml).

An argument that says where a model runs, how fast, or what to do after a failure does not decide:
runs that differ in it alone are runs of one setup. What only rounds differently, such as another
batch size, kernel or number of devices, does not decide either; another type of numbers does."""

from pathlib import Path

from lm_eval_tts.core.packaged import read_yaml

_ARGUMENTS = read_yaml(Path(__file__).with_suffix(".yaml"))
DECIDES = dict.fromkeys(_ARGUMENTS["decides"], True) | dict.fromkeys(_ARGUMENTS["does_not"], False)


def decides(name: str) -> bool:
    """Say whether a model argument decides what is answered; one that is not listed does."""
    return DECIDES.get(name, True)


# Settings of which more adds to what a journal has: samples, the points of a curve. Each request is
# known by all that decides it, so what is the same in both runs is taken over, and nothing else.
ADDING = frozenset({"n", "max_thinking_tokens", "max_tries", "num_waits", "probes"})
