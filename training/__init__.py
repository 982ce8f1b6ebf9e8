"""How the product's own network came about: its data, its training, its scores. Nothing of the product imports this package."""
