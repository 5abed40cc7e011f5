"""The saved state: whatever was answered survives a killed process."""
