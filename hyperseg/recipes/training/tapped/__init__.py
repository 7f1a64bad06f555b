"""Heads on a denoiser that learnt a scene without labels: how both learn, how they map, what the report tells."""
