"""Memory: a summary of messages that no longer fit the prompt, and facts from them.

A message is in the summary or in the prompt, never in both. Facts are additional single sentences.
docs/memory.md describes the whole process.

When messages are noted, in this order: `summarizer` asks a model and saves what it answers;
`batches` divides the messages that are due; `request` is what the model is asked; `answer` reads
its answer, with `loose_json` where that is no valid JSON; `result` is what is saved.

What a model noted (`noted_facts`) is compared with the known facts (`known_facts`) and with what
the messages say (`material`): `changes` decides what is added, merged and replaced, `target_fact`
which known fact a note means, `outdated` which sentences of the summary no longer hold.

When a turn begins: `suitability` leaves out what its tier may not show, `weighing` decides which
facts are shown and in which order, and `embedder` finds messages by meaning.

Of sentences: `words` and `wording` read their words, `topics` finds what they are about, `kinds`
(with `foreign_kinds`) and `importance` whether they matter for long, `comparison` whether two say
the same or contradict, `endings` whether one ends what another says, `permissions` (with
`foreign_permissions`) whether a limit or promise is taken back in other languages than English, and
`languages` what words in those have in common.
"""
