"""Transformers as encoders: what users expect of a library today; after the survey."""
