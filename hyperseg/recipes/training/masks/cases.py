"""What a diffusion model over masks, and its twin, do with a folder of images or volumes."""

from __future__ import annotations

from hyperseg.core.parts import OnCases

ON_CASES: OnCases | None = None
TWIN_ON_CASES: OnCases | None = None
