"""Boxes on a grid of voxels: anchors, overlap, codes, matching, suppression; n axes, vectorised."""
