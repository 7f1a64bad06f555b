"""Methods on folders of images and volumes: which one with which settings, its answers, what is trained beside it."""
