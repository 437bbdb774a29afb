"""One module per published data set: reads its files as they are, gives a Trace."""
