"""One login on its way through social-core."""
