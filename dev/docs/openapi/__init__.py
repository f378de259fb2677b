"""docs/openapi.json, the API description of both functions: `python -m dev.docs.openapi` writes it.

Requests and responses come from the functions' own models, and error codes from every `raise
ApiError`. A test fails if the file is out of date. A new action needs a row in `actions.ACTIONS`; a
raise whose code is a variable needs one in `errors._codes_elsewhere`.

document        the whole document
roleplay_chat   turns and other actions, events of a stream
actions         requests and answers of the actions that are not turns
completions     the OpenAI-compatible API
health_check    runs of the health check, registration of workers
data_api        the part of the Data API that clients need
errors          error responses, from the code that raises them
parts           what all of these are made of
"""
