"""Units of measure: what a word stands for, in which dimension, and how large it is.

A unit is what this lexicon says, with SI prefixes; powers and products are for the grammar.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache

from lm_eval_tts.grading.tokens import words_of

Mark = tuple[tuple[str, int], ...]  # units with their powers, sorted

# Name: (size, dimension, spellings). Sizes are in the base unit of the dimension.
_TABLE: dict[str, tuple[str, str, str]] = {
    "m": ("1", "length", "m meter meters metre metres"),
    "inch": ("0.0254", "length", "inch inches"),
    "foot": ("0.3048", "length", "ft foot feet"),
    "yard": ("0.9144", "length", "yd yard yards"),
    "mile": ("1609.344", "length", "mi mile miles"),
    "s": ("1", "time", "s sec secs second seconds"),
    "minute": ("60", "time", "min mins minute minutes"),
    "hour": ("3600", "time", "h hr hrs hour hours"),
    "day": ("86400", "time", "day days"),
    "week": ("604800", "time", "week weeks"),
    "month": ("1", "month", "month months"),
    "year": ("12", "month", "year years yr yrs"),
    "g": ("1", "mass", "g gram grams gramme grammes"),
    "ton": ("1000000", "mass", "ton tons tonne tonnes"),
    "pound": ("453.59237", "mass", "lb lbs pound pounds"),
    "ounce": ("28.349523125", "mass", "oz ounce ounces"),
    "l": ("1", "volume", "L liter liters litre litres"),
    "dollar": ("1", "money", "dollar dollars usd buck bucks"),
    "cent": ("0.01", "money", "cent cents ¢"),
    "euro": ("1", "euro", "euro euros eur"),
    "degree": ("1", "angle", "deg degree degrees °"),
    "radian": ("1", "radian", "rad radian radians"),
    "celsius": ("1", "celsius", "celsius °C"),
    "fahrenheit": ("1", "fahrenheit", "fahrenheit °F"),
    "n": ("1", "force", "N newton newtons"),
    "j": ("1", "energy", "J joule joules"),
    "ev": ("1.602176634e-19", "energy", "eV"),
    "cal": ("4.184", "energy", "cal calorie calories"),
    "w": ("1", "power", "W watt watts"),
    "pa": ("1", "pressure", "Pa pascal pascals"),
    "bar": ("100000", "pressure", "bar bars"),
    "atm": ("101325", "pressure", "atm atmospheres"),
    "v": ("1", "voltage", "V volt volts"),
    "a": ("1", "current", "A amp amps ampere amperes"),
    "ohm": ("1", "resistance", "Ω ohm ohms"),
    "c": ("1", "charge", "C coulomb coulombs"),
    "t": ("1", "field", "T tesla teslas"),
    "hz": ("1", "frequency", "Hz hertz"),
    "k": ("1", "temperature", "K kelvin kelvins"),
    "mol": ("1", "amount", "mol mole moles"),
    "mph": ("0.44704", "speed", "mph"),
    "kph": ("0.2777777777777778", "speed", "kph kmh"),
    "angstrom": ("1e-10", "length", "angstrom angstroms Å"),
    "lightyear": ("1", "lightyear", "ly"),
    "parsec": ("1", "parsec", "pc parsec parsecs"),
    "percent": ("0.01", "", "percent % pct"),
}  # fmt: skip
_PREFIXES = {
    "k": "1e3", "M": "1e6", "G": "1e9", "T": "1e12", "d": "0.1", "c": "0.01", "m": "1e-3",
    "µ": "1e-6",
    "μ": "1e-6", "n": "1e-9", "p": "1e-12", "f": "1e-15", "kilo": "1e3", "mega": "1e6",
    "giga": "1e9",
    "centi": "0.01", "milli": "1e-3", "micro": "1e-6", "nano": "1e-9",
}  # fmt: skip
_SHORT = {
    "kilo": "k",
    "mega": "M",
    "giga": "G",
    "centi": "c",
    "milli": "m",
    "micro": "µ",
    "μ": "µ",
    "nano": "n",
}
_PREFIXED = frozenset(words_of("m s g l n j ev w pa v a ohm c t hz k mol cal parsec bar"))
_SPELLINGS = {word: name for name, (_, _, words) in _TABLE.items() for word in words.split()}
_SIZES = {name: (Fraction(size), dimension) for name, (size, dimension, _) in _TABLE.items()}
UNIT_LETTERS = frozenset(word for word in _SPELLINGS if len(word) == 1 and word.isalpha())


@lru_cache(maxsize=4096)
def unit_of(word: str) -> str | None:
    """Return the name of the unit that a word stands for, with its prefix; None if it is none."""
    for spelling in (word, word.lower() if len(word) > 2 else word):
        if spelling in _SPELLINGS:
            return _SPELLINGS[spelling]
        for prefix in _PREFIXES:
            name = _SPELLINGS.get(spelling[len(prefix) :]) if spelling.startswith(prefix) else None
            # km, kilometer, but not kmeter
            if name in _PREFIXED and (len(prefix) > 2) == (
                len(spelling) - len(prefix) > 3 or spelling.endswith(("gram",))
            ):
                return f"{_SHORT.get(prefix, prefix)}-{name}"
    return None


def is_unit(word: str) -> bool:
    """Say whether a word of several letters, or a letter in text mode, is a unit."""
    return unit_of(word) is not None


def make_mark(powers: Iterable[tuple[str, int]]) -> Mark:
    """Return units with their powers in their one order."""
    total: dict[str, int] = {}
    for name, rate in powers:
        total[name] = total.get(name, 0) + rate
    return tuple(sorted((name, rate) for name, rate in total.items() if rate))


def size(mark: Mark) -> tuple[Fraction, Mark]:
    """Return how large a unit is in base units, and its dimensions."""
    factor, dimensions = Fraction(1), []
    for name, rate in mark:
        prefix, _, base = name.rpartition("-")
        base_size, dimension = _SIZES.get(base, (Fraction(1), base))
        factor *= (base_size * (Fraction(_PREFIXES[prefix]) if prefix else 1)) ** rate
        if dimension == "volume":
            factor, dimension, rate = factor / 1000**rate, "length", 3 * rate
        dimensions.append((dimension, rate))
    return factor, make_mark(dimensions)
