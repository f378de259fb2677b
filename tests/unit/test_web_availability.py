"""Which models the picker offers, and why not the others."""

from __future__ import annotations

from tests.support.node import evaluate

SHOWN = """(({ choices, standard }) => {
  const now = Date.parse("2026-01-01T12:00:00Z");
  const at = (minutes) => new Date(now + minutes * 60_000).toISOString();
  const model = (key, more = {}) => ({
    id: key, model_key: key, display_name: key, is_default: false, catalog_status: null,
    capabilities: {}, api_providers: { is_active: true }, ...more });
  const models = [
    model("mild"),
    model("gone", { is_default: true, catalog_status: "gone" }),
    model("off", { api_providers: null }),
    model("cooled", { capabilities: { nsfw: true } }),
    model("cooling", { catalog_status: "expiring" }),
  ];
  const cooldowns = [
    { model_id: "cooling", until: at(9) }, { model_id: "cooled", until: at(-1) }];
  const healthy = { isHealthy: true, lastChecked: at(-1), responseTimeMs: 4 };
  const local = (health, name = "chat_worker") => (
    health ? [{ name, display_name: "Local model", health }] : []);
  const usual = { models, cooldowns, workers: local(healthy), tier: "sfw" };
  const offer = (more) => choices({ ...usual, ...more }, now);
  const whys = (more) => offer(more).map(({ why, closed }) => [why.slice(0, 13), closed]);
  const worker = (health, more) =>
    offer({ workers: local(health), cooldowns: more ?? cooldowns })[0].why.slice(0, 13);
  const down = { ...healthy, isHealthy: false };
  const several = (...healths) =>
    offer({ workers: healths.map((health, index) => local(health, `gpu-${index}`)[0]) })
      .filter((choice) => choice.local)
      .map(({ key, name, why }) => `${key} ${name} ${why}`);
  return {
    general: whys({}),
    adult: whys({ tier: "nsfw" }),
    standards: ["sfw", "nsfw"].map((tier) => standard(models, offer({ tier })).key),
    nobody: standard([], []) ?? null,
    workers: [worker(null), worker({ ...healthy, isHealthy: false }),
      worker({ ...healthy, lastChecked: at(-3) }), worker(healthy),
      worker(healthy, [{ model_id: null, worker: "chat_worker", until: at(1) }])],
    several: several(healthy, down),
    none: several(down, down)[0],
  };
})(module)"""


def test_picker_lists_worker_and_models_with_their_state() -> None:
    shown = evaluate("availability.js", SHOWN, None)
    mild = ["for a general", True]
    gone, off, cooling = (
        ["no longer off", True],
        ["switched off", True],
        ["on cooldown u", False],
    )
    free = ["", False]
    assert shown["general"] == [free, free, gone, off, free, cooling]
    assert shown["adult"] == [free, mild, gone, off, free, mild]
    assert shown["standards"] == ["mild", "cooled"]
    assert shown["nobody"] is None
    away = ["none is regis", "down", "status is out", "", "on cooldown u"]
    assert shown["workers"] == away
    assert shown["several"] == [
        "chat_worker Any local model ",
        "chat_worker:gpu-0 Local model ",
        "chat_worker:gpu-1 Local model down",
    ]
    assert shown["none"] == "chat_worker Any local model none is ready"
