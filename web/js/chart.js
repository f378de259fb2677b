// <rp-chart>: one uPlot chart in the page's colours, as wide as its container.

const HEIGHT = 180;
const DAY = 86_400;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const scheme = matchMedia("(prefers-color-scheme: dark)");

/** Adds up the series so that they look stacked when drawn over one another, the highest first. */
function stacked([times, ...series]) {
  let below = times.map(() => 0);
  const sums = series.map((values) => (below = values.map((value, index) => value + below[index])));
  return [times, ...sums.reverse().map((values) => values.map((value) => value || null))];
}

class Chart extends HTMLElement {
  #options;
  #plot;
  #watch = new ResizeObserver(([{ contentRect }]) => {
    this.#plot?.setSize({ width: Math.max(contentRect.width, 100), height: HEIGHT });
  });
  #redraw = () => this.#draw();

  /** {data: columns, colours: CSS variables, bars: stacked bars or lines, format: labels of values} */
  set options(options) {
    this.#options = options;
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
    this.#plot = new uPlot(
      {
        width: Math.max(this.clientWidth, 100),
        height: HEIGHT,
        padding: [8, 18, 0, 0],
        legend: { show: false },
        cursor: { show: false },
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
  }
}
customElements.define("rp-chart", Chart);
