"""What two texts have in common. Knows nothing of what they say."""

from os.path import commonprefix


def shared_length(one: str, other: str) -> int:
    """Return how many characters two texts share from their start."""
    if other.startswith(one):  # mostly one goes on from the other; only else is each character read
        return len(one)
    return len(commonprefix([one, other]))  # noqa: RUF071 the rule is for paths, these are texts
