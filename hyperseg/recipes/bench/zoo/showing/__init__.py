"""What a finished benchmark of networks shows: sentences, the table, the figure, the page."""
