"""Builds the messages that a model reads, from the rows of a turn, within a token budget.

builder             all parts in order, each with its tokens
budget              the shares of the parts
system_message      template, character, persona, scene
memory_section      summary and facts
lore, outlets       the lorebook's entries
history             which messages are sent
recall              earlier messages and facts that relate to the person's message
author_notes        notes among the messages
closing             post-history instructions and the person's message
greeting            the author's greeting, for which no model is asked
group_chat          several characters, of whom one speaks
roles               orders of roles that chat templates take
passages            texts that know where they come from, for the screening
composition         what a prompt was made of, for the person who asks
macros              {{char}} and other macros in authors' texts: macro_syntax reads them,
                    macro_expansion replaces them, macro_values, macro_variables, macro_clock and
                    macro_chance are what they stand for
"""
