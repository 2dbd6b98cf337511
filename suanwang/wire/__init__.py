"""What travels between processes: strict pydantic models, parsed once at the edge."""
