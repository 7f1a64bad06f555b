"""What scores of guidance show: the table in words, sheets of pictures, the page."""
