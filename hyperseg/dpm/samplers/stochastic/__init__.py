"""Samplers that add noise on the way, one file each; their lines are in the table `hyperseg.dpm.samplers.SAMPLERS`."""
