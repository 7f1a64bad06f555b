"""A finished run applied to another scene, window by window."""
