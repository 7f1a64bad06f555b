"""What the networks of a fold say of the cases that they never saw."""
