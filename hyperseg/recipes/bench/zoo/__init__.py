"""The zoo, compared: every network by one recipe on the same data, steps and seeds."""
