"""What makes a pure machine a running service: the loop, start-up, heartbeat, recorder."""
