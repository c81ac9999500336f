"""The local web console, `gpw ui`: what gpw tells and does, in a browser."""
