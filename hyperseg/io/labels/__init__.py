"""Labels: rasters, drawn geometries, class names and colours."""
