"""Instance segmentation of folders of pictures: train, predict, score."""
