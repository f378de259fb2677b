"""What both functions need. Imports neither of them.

settings        what both read from the environment
clients         HTTP clients, the database and threads, shared by the requests of a process
identity        who is calling, by a verified token
errors          failures that a caller is told about, and their one shape
logs            one JSON object per line, without anybody's words
timing          how long the parts of an answer took
addresses       which addresses a function may call
credentials     keys that rows name, and where each may be sent
bodies          bodies of other servers, read within bounds
bounded         limits on work and memory at the same time
json_text       JSON, parsed fast
json_values     leaves of foreign JSON: numbers, texts, whole numbers in bounds
pricing         what a model costs, and which are free
worker_health   the record of a worker's health
"""
