"""Whether the values of a plan make sense: plans are files that people change by hand."""
