"""Images of a detector: read window by window on one grid, divided into parts, and drawn from in patches."""
