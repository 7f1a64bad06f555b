"""Where a method meets data and engine: each recipe is settings and one function, readable top to bottom."""
