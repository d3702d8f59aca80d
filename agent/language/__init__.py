"""What the gateway says, in the other language: for the command line and for the page."""
