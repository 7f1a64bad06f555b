"""What a run of detectors shows: a page, FROC curves, slices with boxes."""
