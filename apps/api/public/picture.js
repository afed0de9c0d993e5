// The live picture of a run: one lane for every answer that is being written at the same time, one bar for every answer,
// from its first text to its last. A lane is taken again as soon as its answer is complete: that is batching at work.

const LANE_HEIGHT = 12;

/** Draws into `figure`, which holds an element with the class `lanes` and a caption. */
export class Picture {
  #lanes;
  #caption;
  #bars = [];
  /** Lane → the bar that is open on it. */
  #open = [];
  #peak = 0;
  #running = true;

  constructor(figure) {
    this.#lanes = figure.querySelector('.lanes');
    this.#caption = figure.querySelector('figcaption');
    this.#lanes.replaceChildren();
    this.#caption.textContent = '';
    figure.hidden = false;
    this.#draw();
  }

  /** An answer's first text has come; returns its bar. */
  begin(title) {
    const free = this.#open.indexOf(undefined);
    const lane = free === -1 ? this.#open.length : free;
    const element = document.createElement('div');
    element.className = 'bar';
    element.title = title;
    element.style.top = `${lane * LANE_HEIGHT}px`;
    const bar = { element, lane, from: performance.now(), to: undefined };
    this.#open[lane] = bar;
    this.#bars.push(bar);
    this.#lanes.append(element);
    this.#lanes.style.height = `${this.#open.length * LANE_HEIGHT}px`;
    const busy = this.#open.filter((open) => open !== undefined).length;
    this.#peak = Math.max(this.#peak, busy);
    return bar;
  }

  /** An answer is complete. */
  end(bar, colour) {
    bar.to = performance.now();
    bar.element.style.background = colour;
    this.#open[bar.lane] = undefined;
  }

  /** Nothing more will come. */
  stop() {
    this.#running = false;
    this.#place();
    this.#caption.textContent =
      this.#peak === 0 ? '' : `Up to ${this.#peak} ${this.#peak === 1 ? 'answer' : 'answers'} were written at once.`;
  }

  #draw() {
    if (!this.#running) return;
    this.#place();
    const busy = this.#open.filter((open) => open !== undefined).length;
    this.#caption.textContent = busy === 0 ? 'Waiting for the first text …' : `${busy} being written`;
    requestAnimationFrame(() => this.#draw());
  }

  /** Stretches the bars over the whole width: from the first text to now, or to the last. */
  #place() {
    if (this.#bars.length === 0) return;
    const from = this.#bars[0].from;
    const ends = this.#bars.map((bar) => bar.to ?? performance.now());
    const length = Math.max(1, Math.max(...ends) - from);
    this.#bars.forEach((bar, index) => {
      bar.element.style.left = `${(100 * (bar.from - from)) / length}%`;
      bar.element.style.width = `${(100 * (ends[index] - bar.from)) / length}%`;
    });
  }
}
