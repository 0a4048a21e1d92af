"""How a search is run: the clock it goes by, shares of its budget, and methods to do without."""
