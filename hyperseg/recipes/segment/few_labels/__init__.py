"""Few labels: which cases a fold learns from, weights learnt without labels, and what is to be told of both."""
