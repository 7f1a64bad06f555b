"""The coordinate reference system of a CF grid mapping (netCDF): WKT where it stands there, else from its parameters.

Source: NetCDF Climate and Forecast (CF) Metadata Conventions, version 1.11, appendix F.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperseg.io.formats.array import number_of, text_of

# a projection's name in CF and in PROJ, and the parameters that it takes, by their names in both
SHARED = {
    "longitude_of_central_meridian": "lon_0", "longitude_of_projection_origin": "lon_0",
    "latitude_of_projection_origin": "lat_0", "scale_factor_at_central_meridian": "k_0",
    "scale_factor_at_projection_origin": "k_0", "straight_vertical_longitude_from_pole": "lon_0",
    "false_easting": "x_0", "false_northing": "y_0",
}  # fmt: skip
PROJECTIONS = {
    "latitude_longitude": "longlat", "transverse_mercator": "tmerc", "universal_transverse_mercator": "utm",
    "polar_stereographic": "stere", "stereographic": "stere", "lambert_conformal_conic": "lcc",
    "lambert_azimuthal_equal_area": "laea", "albers_conical_equal_area": "aea", "mercator": "merc",
    "sinusoidal": "sinu",
}  # fmt: skip
ELLIPSOID = "semi_major_axis=a semi_minor_axis=b inverse_flattening=rf earth_radius=R longitude_of_prime_meridian=pm"
BODY = dict(pair.split("=") for pair in ELLIPSOID.split())


def mapped_crs(attributes: Mapping[str, Any]) -> str | None:
    """WKT or a PROJ string from the attributes of a grid mapping, or None where they do not say or are not known."""
    for name in ("crs_wkt", "spatial_ref", "crs"):
        if text := text_of(attributes.get(name)):
            return text
    if text := text_of(attributes.get("epsg_code")):
        return text if ":" in text else f"EPSG:{text}"
    projection = PROJECTIONS.get(text_of(attributes.get("grid_mapping_name")) or "")
    if projection is None:
        return None
    words = [f"+proj={projection}"]
    if projection == "utm":
        zone = number_of(attributes.get("utm_zone_number", attributes.get("utm_zone")))
        if zone is None:
            return None
        words += [f"+zone={abs(zone):.0f}", "+south" if zone < 0 else ""]
    words += [_word(attributes, name, short) for name, short in (*SHARED.items(), *BODY.items())]
    parallels = str(attributes.get("standard_parallel", "")).strip("[]()").replace(",", " ").split()
    if projection == "stere":
        words.append(f"+lat_ts={parallels[0]}" if parallels else "")
        pole = number_of(attributes.get("latitude_of_projection_origin"))
        if pole is None:  # it is the pole of the hemisphere in which the map is true to scale
            words.append(f"+lat_0={90 if not parallels or float(parallels[0]) > 0 else -90}")
    elif projection == "merc" and parallels:
        words.append(f"+lat_ts={parallels[0]}")
    else:
        words += [f"+lat_{i}={value}" for i, value in enumerate(parallels, start=1)]
    if not any(name in attributes for name in BODY):
        words.append("+datum=WGS84")
    return " ".join(filter(None, [*words, "" if projection == "longlat" else "+units=m", "+no_defs"]))


def _word(attributes: Mapping[str, Any], name: str, short: str) -> str:
    value = number_of(attributes.get(name))
    return "" if value is None else f"+{short}={value:.15g}"
