"""The commands of `tollpath`, one file each."""
