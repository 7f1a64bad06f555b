"""What stands in a run that goes on: the same cases, whole networks of one plan, folds of one length."""
