"""Folders of images or volumes with labels: which files belong together, what is wrong, one case at a time."""

from hyperseg.io.cases.case import CT, Case, CaseFolder, Fault
from hyperseg.io.cases.check import Survey, check_cases, survey
from hyperseg.io.cases.images import list_images
from hyperseg.io.cases.open import list_cases, open_cases
from hyperseg.io.cases.read import read_case
from hyperseg.io.cases.write import write_doubt, write_prediction

__all__ = [
    "CT", "Case", "CaseFolder", "Fault", "Survey", "check_cases", "list_cases", "list_images", "open_cases",
    "read_case", "survey", "write_doubt", "write_prediction",
]  # fmt: skip
