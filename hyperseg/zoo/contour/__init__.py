"""Active contours: borders that are short and regions that are alike, as a loss or as layers."""
