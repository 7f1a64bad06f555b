"""Which codes of label files are which class: those that are found there, and those that a user wants to learn."""
