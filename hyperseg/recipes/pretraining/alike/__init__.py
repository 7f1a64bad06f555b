"""Which pixels of scenes are alike without labels, and which of them a step draws."""
