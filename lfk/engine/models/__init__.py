"""Model weights on this machine: found, verified before they are used, fetched and taken in safely."""
