"""`check_minutes`: a length of time, or nothing."""

from __future__ import annotations

import pytest

from hyperseg.core import SettingError
from hyperseg.core.runtime import check_minutes
from hyperseg.recipes.segment.fold import Budget


@pytest.mark.parametrize("minutes", [float("nan"), float("inf"), 0.0, -1.0])
def test_what_is_no_length_of_time_is_refused(minutes: float) -> None:
    for asked in (check_minutes, Budget):
        with pytest.raises(SettingError, match="above 0"):
            asked(minutes)
    check_minutes(None)
    check_minutes(0.001)
