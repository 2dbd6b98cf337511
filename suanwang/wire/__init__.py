"""What travels between processes of the product: strict pydantic models, parsed once at the edge."""
