"""What scores responses: rules on their text, and models."""
