"""Pictures with the depth of every pixel: folders of pairs, their units and their holes."""
