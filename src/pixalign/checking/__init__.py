"""What `pixalign data check` finds in a folder, with remedies, and its page."""
