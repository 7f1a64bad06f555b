"""What a report shows of networks for folders of images and volumes: curves, spreads over cases, slices."""
