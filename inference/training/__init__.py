"""Training: recipes, pictures, augmentation, the loop, and the package that comes out."""
