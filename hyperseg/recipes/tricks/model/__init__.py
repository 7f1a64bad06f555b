"""Tricks of the network and of what it minimises."""
