"""What a Bitbucket admin does: the worksheet, the link script and the check-up."""
