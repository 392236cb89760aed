"""Questions about the model, answered by measurement."""
