"""What a benchmark found, and how it is shown: as text, JSON, a picture, a page. Starts nothing and measures nothing."""
