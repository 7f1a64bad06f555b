"""What benchmarks that compare rows on the same folds or splits have in common: tricks, and networks."""
