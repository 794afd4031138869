"""What keeps the talk safe: crisis messages, personal data, abuse."""
