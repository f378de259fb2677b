"""Code that both functions share. Imports neither of them.

settings        environment settings that both functions read
clients         HTTP clients, the database and threads, shared by all requests of a process
connections     httpx's clients over aiohttp's connections
storage         Supabase Storage: pictures are uploaded, read, removed
identity        verifies tokens: who is calling
errors          errors that callers see, in one shape
loading         imports modules after the cold start
logs            one JSON object per line, without what people wrote
timing          measures the stages of a request
addresses       which addresses a function may call
credentials     API keys that rows name, and where each may be sent
bodies          reads response bodies within limits
bounded         limits concurrent work
json_text       fast JSON parsing and writing
json_values     validates single values of untrusted JSON
patterns        regular expressions that are compiled when first used
pricing         model prices, and which models are free
worker_health   a worker's health record
server          serves a function in a container
"""
