"""What a finished benchmark of tricks shows: sentences, the table, the figure, the page."""
