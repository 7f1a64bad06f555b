"""What a finished benchmark shows: the table, what it says in sentences, the taxonomy, the page."""
