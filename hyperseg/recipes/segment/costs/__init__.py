"""What training and predicting a plan takes: estimated before a run, measured in it, and compared after it."""
