"""The centre's HTTP face: REST v1, the Ray Jobs gateway, the agents' channel, /status and /metrics."""
