"""Answers a person's message as a fictional character. The path of a turn:

app             HTTP: a request becomes a typed turn, events become a response
api             the shapes of requests, answers and events
turn            the order of a turn's steps: plan, screen, greet or generate, save, tell
turn_store      the database calls that begin and finish it
turn_plan       how it is to be answered: the tier, and whom to ask
content_tier    which content tier it may have
lorebook/       what the character's book says about what is talked of
prompt/         rows become messages within a token budget
turn_screen     what is screened before a model reads it
screening/      what may not be written, in the prompt and in the reply
generation/     asks one model after the other until one answers
reply/          the model's text becomes the character's words
memory/         notes on what no longer fits the prompt, taken beside the reply
turn_record     what it leaves behind: answer, columns, usage rows, log line, alerts
turn_errors     what a person is told when there is no reply

Types (`rows`, `messages`), `tokens`, `continuation` and `settings` lie below; `telemetry` measures.
Requests that are no turn: `message_actions` (choose, edit, delete, branch), `cards/` (in and out).
"""
