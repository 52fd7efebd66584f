"""History: finding stored sessions again, comparing two of them, and saying in a line what one of them found."""
