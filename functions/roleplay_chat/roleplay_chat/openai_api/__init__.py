"""The OpenAI-compatible API, with which programs written for OpenAI's talk with characters.

handlers        GET /v1/models and POST /v1/chat/completions
keys            who calls: a person's token, or an API key of theirs
model_ids       the ids of characters as models
completions     the body of a request, read as a turn
answers         answers, chunks of a stream and errors, in OpenAI's form
"""
