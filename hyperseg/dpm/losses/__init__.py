"""What a denoising network is trained on, one loss a file; see `hyperseg.dpm.losses.loss` for what they share."""
