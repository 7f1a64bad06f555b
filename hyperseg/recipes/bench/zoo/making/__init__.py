"""How cells are made: networks and peers by one recipe, baselines in their own way; what they cost is counted."""
