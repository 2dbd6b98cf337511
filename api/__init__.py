"""The centre over HTTP: REST v1, Ray's Jobs gateway, the agents' channel, status and metrics."""
