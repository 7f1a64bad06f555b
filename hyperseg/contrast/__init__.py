"""Contrastive learning without labels: global and local losses, their pairs, views and heads."""
