"""What parts are made of: methods, refiners and tricks as values, what they leave, and the tables they stand in.

A part is a value in one file and one line of a table. Everything else asks the value and knows no name.
"""

from hyperseg.core.parts.method import Begin, Chain, Decider, Kind, Method, Model
from hyperseg.core.parts.on_cases import Beginning, Change, OnCases
from hyperseg.core.parts.refiner import Context, Fitted, Refiner
from hyperseg.core.parts.saved import Arrays, Saved, prefixed, unprefixed
from hyperseg.core.parts.spelling import read_settings, respelt, spelling_of, spelt, split_spelling
from hyperseg.core.parts.table import Entry, Parts
from hyperseg.core.parts.trick import NoSettings, Phase, Trick

__all__ = [
    "Arrays", "Begin", "Beginning", "Chain", "Change", "Context", "Decider", "Entry", "Fitted", "Kind", "Method",
    "Model", "NoSettings", "OnCases", "Parts", "Phase", "Refiner", "Saved", "Trick", "prefixed", "read_settings",
    "respelt", "spelling_of", "spelt", "split_spelling", "unprefixed",
]  # fmt: skip
