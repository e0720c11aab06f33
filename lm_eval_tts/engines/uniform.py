"""One uniform number per sampled token, so a request samples the same whatever runs alongside."""

import hashlib
import struct


def uniform(seed: int, step: int) -> float:
    """Return the number in [0, 1) that decides token `step` of the sample with this seed."""
    digest = hashlib.blake2b(struct.pack("<qq", seed, step), digest_size=8).digest()
    return float(int.from_bytes(digest, "big") >> 11) / float(1 << 53)
