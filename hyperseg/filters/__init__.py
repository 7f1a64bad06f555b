"""Filters that several families share: the permutohedral lattice, kernels over pixels, mean field of a dense CRF."""
