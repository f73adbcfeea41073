"""What cameras on the network share: connections, logins, streams."""
