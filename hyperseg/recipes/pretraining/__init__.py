"""Learning from images, volumes and scenes without labels; what is learnt lies in a file of weights."""
