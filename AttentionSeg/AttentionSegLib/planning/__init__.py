"""Planning of a training: from properties of the data and the computer to a recipe."""
