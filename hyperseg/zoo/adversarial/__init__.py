"""Adversarial networks: a critic judges whole maps, where a loss judges single pixels."""
