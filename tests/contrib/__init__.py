"""What contrib/ gives an administrator to copy, tried out."""
