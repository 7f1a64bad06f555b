"""`evaluate_run`: the networks of a run, and those beside it, against labels; one image in memory at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core import LabelError, RunError
from hyperseg.core.files import make_folder
from hyperseg.core.words import listed, runs, some
from hyperseg.engine.device import choose_device
from hyperseg.engine.progress import counted_progress, say
from hyperseg.io.cases import Case, CaseFolder, read_case
from hyperseg.io.write import replacing, write_json
from hyperseg.io.write.targets import check_targets
from hyperseg.recipes.segment.checks import warn_of_mirrors
from hyperseg.recipes.segment.evaluation.answers import answered, calls_of
from hyperseg.recipes.segment.evaluation.figures import Figures, worth
from hyperseg.recipes.segment.evaluation.found import Evaluation
from hyperseg.recipes.segment.folder import SegmentRun, check_folds, load_networks, read_run
from hyperseg.recipes.segment.planning import pointing_to_check, read_folder
from hyperseg.recipes.segment.sliding import check_inference

log = logging.getLogger(__name__)

METRICS, PICTURE, PAGE = "metrics.json", "evaluation.png", "report.html"
