"""What small files beside the data say of its cases: groups, spacings, an official split."""
