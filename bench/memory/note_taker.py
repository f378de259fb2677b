import json


def write(summary, facts):
    return json.dumps({"summary": summary, "facts": list(facts)})
