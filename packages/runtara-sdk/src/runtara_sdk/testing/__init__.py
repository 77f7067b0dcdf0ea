"""What authors of plugins and workflows need for their tests."""
