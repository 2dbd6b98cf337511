"""Bodies that come in and go out, by pydantic; unknown fields are an error."""
