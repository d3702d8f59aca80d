"""What a facility engineer writes: the grammar, its loading, and the model that everything else reads."""
