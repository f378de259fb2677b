"""What the console's charts and tables are computed from rows."""

from __future__ import annotations

from tests.support.node import evaluate

SHOWN = """(({ byModel, percentile, probes, tokens, totals, turnsByEnd }) => {
  const at = (seconds) => new Date(seconds * 1000).toISOString();
  const period = { span: 300, step: 100 };
  const turns = [
    [950, "complete"], [1049, "failed"], [1050, "running"], [600, "complete"],
  ].map(([seconds, status]) => ({ created_at: at(seconds), status }));
  const call = { provider: "p", model_key: "m", purpose: "reply", outcome: "ok" };
  const calls = [
    { ...call, created_at: at(1001), prompt_tokens: 5, completion_tokens: 2,
      cached_tokens: 4, duration_ms: 10, first_token_ms: null, cost_usd: "0.5" },
    { ...call, created_at: at(1002), outcome: "timeout", prompt_tokens: null,
      completion_tokens: null, duration_ms: 90, first_token_ms: null, cost_usd: null },
  ];
  return {
    percentiles: [[[3, 1, 2, null], 0.5], [[1, 2, 3, 4], 0.95], [[], 0.5]]
      .map(([values, share]) => percentile(values, share)),
    ends: turnsByEnd(turns, period, 1050),
    tokens: tokens(calls, period, 1050),
    lines: byModel(calls),
    totals: totals(turns, calls),
    probes: probes({ history: [7, null, 9], lastChecked: at(1000) }),
    silent: probes({ history: [null], lastCheck: at(1000) }),
  };
})(module)"""


def test_figures_are_right() -> None:
    shown = evaluate("figures.js", SHOWN, None)
    assert shown["percentiles"] == [2, 4, None]
    assert shown["ends"] == [[800, 900, 1000], [0, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert shown["tokens"] == [[800, 900, 1000], [0, 0, 5], [0, 0, 2]]
    [line] = shown["lines"]
    assert (line["name"], line["calls"], line["well"], line["p95"]) == ("p:m", 2, 0.5, 10)
    assert (line["cached"], shown["totals"]["cached"]) == (0.8, 0.8)
    times, answered, failed = shown["probes"]
    assert (len(times), times[-3:]) == (30, [880, 940, 1000])
    assert answered == [0] * 27 + [7, 0, 9]
    assert failed == [0] * 27 + [0, 9, 0]
    assert shown["silent"] == [times, [0] * 30, [0] * 29 + [1]]
    assert shown["totals"]["answered"] == 2 / 3
    assert (shown["totals"]["tokens"], shown["totals"]["cost"]) == (7, 0.5)
