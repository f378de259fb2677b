// <rp-chart>: one uPlot chart in the page's colours, as wide as its container.

import uPlot from "uplot";

const HEIGHT = 180;
const DAY = 86_400;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const scheme = matchMedia("(prefers-color-scheme: dark)");

/** Adds up the series so that they look stacked when drawn over one another, the highest first. */
function stacked([times, ...series]) {
  let below = times.map(() => 0);
  const sums = series.map((values) => (below = values.map((value, index) => value + below[index])));
  return [times, ...sums.reverse().map((values) => values.map((value) => value || null))];
}

class Chart extends HTMLElement {
  #options;
  #shown = "";
  #plot;
  #watch = new ResizeObserver(([{ contentRect }]) => {
    this.#plot?.setSize({ width: Math.max(contentRect.width, 100), height: HEIGHT });
  });
  #redraw = () => this.#draw();

  /**
   * {data: columns, names: of the series, colours: CSS variables, bars: stacked bars or lines, format: labels of
   * values}
   */
  set options(options) {
    const shown = JSON.stringify([options.data, options.names]);
    this.#options = options;
    if (shown === this.#shown) return; // Whoever points at it goes on.
    this.#shown = shown;
    if (this.isConnected) this.#draw();
  }

  connectedCallback() {
    this.#draw();
    this.#watch.observe(this);
    scheme.addEventListener("change", this.#redraw);
    addEventListener("storage", this.#redraw); // another theme was chosen
  }

  disconnectedCallback() {
    this.#watch.disconnect();
    scheme.removeEventListener("change", this.#redraw);
    removeEventListener("storage", this.#redraw);
    this.#plot?.destroy();
    this.#plot = null;
  }

  #draw() {
    const { data, colours, bars, format } = this.#options;
    const step = data[0][1] - data[0][0];
    const shown = data[0].at(-1) - data[0][0] > DAY ? day : clock;
    const style = getComputedStyle(this);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = {
      stroke: colour("--soft"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { show: false },
      font: "12px system-ui, sans-serif",
    };
    const shape = bars ? { paths: uPlot.paths.bars({ size: [0.7, 40] }), points: { show: false } } : { width: 2, points: { size: 6 } };
    const drawn = bars ? [...colours].reverse() : colours;
    const looks = drawn.map((name) => ({
      ...shape,
      stroke: colour(name),
      fill: bars ? colour(name) : undefined,
    }));
    this.#plot?.destroy();
    this.querySelector(".tip")?.remove();
    this.#plot = new uPlot(
      {
        width: Math.max(this.clientWidth, 100),
        height: HEIGHT,
        padding: [8, 18, 0, 0],
        legend: { show: false },
        cursor: { x: true, y: false, points: { show: false }, drag: { x: false, y: false }, lock: false },
        hooks: { setCursor: [(plot) => this.#point(plot)] },
        // Half a step of room on both sides, because bars are centred on their time.
        scales: {
          x: { range: (_, first, last) => [first - step / 2, last + step / 2] },
          y: { range: (_, __, top) => [0, (top || 1) * 1.1] },
        },
        axes: [
          {
            ...axis,
            grid: { show: false },
            size: 28,
            space: 60,
            values: (_, ticks) => ticks.map((tick) => shown.format(tick * 1000)),
          },
          { ...axis, size: 52, values: (_, ticks) => ticks.map(format) },
        ],
        series: [{}, ...looks],
      },
      bars ? stacked(data) : data,
      this,
    );
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.setAttribute("aria-hidden", "true");
    this.append(tip);
  }

  /** Says the values at the cursor. */
  #point({ cursor: { idx, left }, over }) {
    const tip = this.querySelector(".tip");
    if (!tip) return;
    const { data, names, format } = this.#options;
    const values = (names ?? []).map((name, index) => {
      const value = data[index + 1][idx];
      return `${name}: ${value === null || value === undefined ? "none" : format(value)}`;
    });
    const isOver = idx !== null && idx !== undefined && left >= 0;
    tip.textContent = isOver ? [whole.format(data[0][idx] * 1000), ...values].join("\n") : "";
    const from = over.offsetLeft + left;
    const room = this.clientWidth - tip.offsetWidth;
    // Beside the cursor, on the side where there is room.
    tip.style.transform = `translateX(${Math.max(0, from + 12 > room ? Math.min(from - tip.offsetWidth - 12, room) : from + 12)}px)`;
  }
}
customElements.define("rp-chart", Chart);
