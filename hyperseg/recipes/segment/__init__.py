"""Folders of images and volumes: from the data set to a plan, a trained model and predictions."""
