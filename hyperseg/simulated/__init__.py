"""Scenes whose truth is known."""
