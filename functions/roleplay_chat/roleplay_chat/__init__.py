"""Answers a person's message as a fictional character. The path of a turn:

api        the request becomes a typed request; answers and errors become JSON or events
turns      the two database calls
policy     which content tier the turn may have
prompt     rows become messages within a token budget
routing    which targets to ask, in order
generation walks the targets; providers/ speak to them, failures names what went wrong
reply      the model's text becomes the character's words
"""
