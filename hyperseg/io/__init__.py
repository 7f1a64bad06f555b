"""From a path or a name to a `Scene`, and from maps to files."""
