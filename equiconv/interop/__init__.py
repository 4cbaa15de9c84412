"""Working with other libraries."""
