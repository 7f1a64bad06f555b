"""`hyperseg bench tricks`: a baseline, each trick alone, all that helped; and what of it exceeds the noise."""
