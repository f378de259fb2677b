"""Answers a person's message as a fictional character. The path of a turn:

app             HTTP: says that the function is there, and imports the rest with the first request
endpoints       who is asking, what for: parses the request into a turn, sends its answer
request_body    reads a body within limits
api             the shapes of requests, answers and events
turn_tasks      runs each turn in a task of its own
openai_api/     turns for programs written for OpenAI's API
turn            the order of a turn's steps: plan, screen, greet or generate, save, tell
turn_store      the database calls that begin and finish a turn
turn_cache      what turns have read, so that the next one reads only what is new
turn_plan       decides the content tier and which models to try
content_tier    decides who may have the adult tier
lorebook/       finds the book entries that the conversation mentions
prompt/         builds the messages within a token budget
turn_screen     screens a turn before a model reads it
screening/      the content policy, for prompts and replies
generation/     tries one model after another until one answers
reply/          cleans a model's output piece by piece
memory/         summarises, in the background, what no longer fits the prompt
turn_record     what a turn leaves: answer, columns, usage rows, log line, alerts
turn_errors     the error when there is no reply
sending         sends a response as fast as its client reads
turn_events     keeps the events of a running turn for its readers
resume          the stream of a turn that another instance runs

Below these: types (`rows`, `messages`), `message_columns`, `tokens`, `scripts`, `patterns`,
`settings`, `time_zones`, `uuid7`.
`telemetry` measures.
Other requests: `message_actions` (choose, edit, delete, hide, branch); `stops` (stop); `account`
(its deletion); import and export in `cards/` and `chats/`; pictures of characters in `portraits/`;
what admins try from the console in `admin/`.
"""
