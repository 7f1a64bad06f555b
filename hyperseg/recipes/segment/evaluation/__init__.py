"""How good and how honest the networks of a run are."""
