"""Networks that no other family holds: borders, and what the whole image is about."""
