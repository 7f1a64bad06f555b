"""`hyperseg bench zoo`: every network of the survey by one recipe, beside baselines and MONAI's networks."""
