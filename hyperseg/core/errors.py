"""Errors a user can act on.

Every message says what was given, what was expected and what to do, and names the file where there is one.
The command line shows the message alone; from Python the type tells what to catch.
"""


class HypersegError(Exception):
    """Base of every error that is the input's fault, not the program's."""


class SceneError(HypersegError):
    """A cube that cannot be used: wrong shape, no usable band, NaN everywhere."""


class LabelError(HypersegError):
    """Labels that do not fit the cube or are too few to learn from."""


class SplitError(HypersegError):
    """A split that cannot be made honestly from these labels."""


class DataFileError(HypersegError):
    """A file that is missing, truncated, ambiguous or in an unknown format."""


class SettingError(HypersegError):
    """An option outside what it may be."""


class RunError(HypersegError):
    """A run folder that exists already, is incomplete or does not match."""


class TrainingError(HypersegError):
    """Training that cannot go on: a non-finite loss, with phase and step."""
