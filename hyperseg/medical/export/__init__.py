"""What follows a network: the way of its scores back to a case."""
