"""Answers a person's message as a fictional character. The path of a turn:

app           HTTP: a request becomes a typed turn, events become a response
api           the shapes of requests, answers and events
turn_store    the database calls
turn          the order of a turn's steps: plan, screen, greet or generate, save, tell
content_tier  which content tier the turn may have
lorebook/     what the character's book says about what is talked of
prompt/       rows become messages within a token budget
screening/    what may not be written, in the prompt and in the reply
generation/   asks one model after the other until one answers
reply/        the model's text becomes the character's words
memory/       notes on what no longer fits the prompt, taken beside the reply
cards/        character cards in and out

Types (`rows`, `messages`) lie below; what a turn leaves behind is `turn_record`, what a person is
told when there is no reply `turn_errors`.
"""
