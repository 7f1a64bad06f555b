"""Instance networks: objects one by one, each with its box and its mask."""
