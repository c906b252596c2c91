"""What runs: the web application, the command line, the settings, the embedded database."""
