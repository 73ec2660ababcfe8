"""The reading front: rows of files as they are written, what a folder of them means, and what their times say.

Every reader of the project, of bars, trades, books and labels, goes through ``foreshock.data.reading.rows``, which reads strictly:
a row that is cut, a name that looks like a number, or a file that is passed over never becomes a wrong table in silence.
"""
