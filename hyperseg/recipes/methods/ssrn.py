"""SSRN's short spectral convolutions before the band collapse: closer to the paper, slower."""

from __future__ import annotations

from hyperseg.recipes.methods.network import WindowedSettings, network_method, spectral_spatial

SSRN = network_method("ssrn", WindowedSettings, **spectral_spatial("short"))
