"use strict";
(() => {
  const { createChart, createSeriesMarkers, CandlestickSeries, PriceScaleMode } = LightweightCharts;
  // Heights and widths in px; SLACK candles are loaded on either side of the view; SETTLED in ms.
  const BAND = 8, GAP = 3, COUNTS = 18, CELL = 3, SLACK = 8000, FEWEST = 10, SETTLED = 120;
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Base64 of a zlib stream, as reports/price/payload.py writes it.
  const inflated = async id => {
    const text = atob(document.getElementById(id).textContent);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")));
  };

  // The bytes of a column lie place by place, the lowest first; the lowest bit is the sign.
  const column = (bytes, at, n, width) => {
    const found = new Float64Array(n);
    for (let place = 0, weight = 1; place < width; place++, weight *= 256) {
      const start = at + place * n;
      for (let i = 0; i < n; i++) found[i] += bytes[start + i] * weight;
    }
    for (let i = 0; i < n; i++) found[i] = found[i] % 2 ? -(found[i] + 1) / 2 : found[i] / 2;
    return found;
  };

  const pricesOf = (bytes, n, { decimals, widths }) => {
    let at = 0, last = 0;
    const [known, open, close, high, low, labels] = widths.map(width => {
      const found = column(bytes, at, n, width);
      at += width * n;
      return found;
    });
    const tick = 10 ** decimals;
    for (let i = 0; i < n; i++) {
      if (!known[i]) continue;
      const first = last + open[i];
      last = first + close[i];
      high[i] = (Math.max(first, last) + high[i]) / tick;
      low[i] = (Math.min(first, last) - low[i]) / tick;
      open[i] = first / tick;
      close[i] = last / tick;
    }
    return { known, open, high, low, close, labels };
  };

  // The decimals that the lowest price needs for seven digits, but no more than the symbol's prices have.
  const digitsOf = ({ known, low }, decimals) => {
    const lowest = low.reduce((least, price, i) => known[i] && price < least ? price : least, Infinity);
    return Math.min(Math.max(6 - Math.floor(Math.log10(lowest)), 0), decimals);
  };
  const spelled = (price, digits) => price.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });

  // How many of the first i rows are there, for every i: any stretch is then counted by one subtraction.
  const running = (n, has) => {
    const sums = new Uint32Array(n + 1);
    for (let i = 0; i < n; i++) sums[i + 1] = sums[i] + has(i);
    return sums;
  };
  const within = (sums, from, to) => sums[Math.min(to, sums.length - 1)] - sums[Math.max(from, 0)];
  const mostFrequent = (regimes, from, to) => {
    let best = -1, most = 0;
    regimes.forEach((sums, k) => {
      const found = within(sums, from, to);
      if (found > most) { best = k; most = found; }
    });
    return best;
  };

  // Seconds since 1970 of a row; where time jumps, `jumps` has the row after it and its seconds.
  const secondsOf = ({ start, step, jumps }, row) => {
    let from = [0, start];
    for (const jump of jumps || []) if (jump[0] <= row) from = jump;
    return from[1] + (row - from[0]) * step;
  };

  // Candles of `size` bars each, the first of number `first`; one without a known bar is an empty place.
  const candles = ({ known, open, high, low, close }, head, size, first, stop) => {
    const found = [];
    for (let number = first; number < stop; number++) {
      const candle = { time: secondsOf(head, number * size) };
      for (let i = number * size; i < Math.min((number + 1) * size, head.n); i++) {
        if (!known[i]) continue;
        if (candle.open === undefined) { candle.open = open[i]; candle.high = high[i]; candle.low = low[i]; }
        candle.high = Math.max(candle.high, high[i]);
        candle.low = Math.min(candle.low, low[i]);
        candle.close = close[i];
      }
      found.push(candle);
    }
    return found;
  };

  // Regimes as a band at the foot of the pane, and above it the number of alerts, in cells of whole bars.
  const strips = state => ({
    paneViews: () => [{ zOrder: () => "bottom", renderer: () => ({ draw: target => target.useMediaCoordinateSpace(
      ({ context, mediaSize: { width, height } }) => {
        const [left, wide] = state.scale();
        if (!(wide > 0)) return;
        const size = Math.max(1, Math.round(CELL / wide)), x = cell => left + cell * size * wide;
        const first = Math.max(0, Math.floor(-left / wide / size));
        const stop = Math.min(Math.ceil(state.n / size), Math.ceil((width - left) / wide / size) + 1);
        let from = first, now = -1, peak = 0;
        for (let cell = first; cell <= stop; cell++) {
          const next = cell < stop ? mostFrequent(state.regimes, cell * size, (cell + 1) * size) : -1;
          if (next === now) continue;
          context.fillStyle = state.colours[now];
          if (now >= 0) context.fillRect(x(from), height - BAND, x(cell) - x(from), BAND);
          [from, now] = [cell, next];
        }
        for (let cell = first; cell < stop; cell++) peak = Math.max(peak, within(state.alerts, cell * size, (cell + 1) * size));
        context.fillStyle = state.raw;
        const thick = Math.min(Math.max(size * wide - 1, 1), 6), shift = (size * wide - thick) / 2;
        for (let cell = first; cell < stop; cell++) {
          const found = within(state.alerts, cell * size, (cell + 1) * size), high = 3 + (COUNTS - 3) * found / peak;
          if (found) context.fillRect(x(cell) + shift, height - BAND - GAP - high, thick, high);
        }
      }) }) }],
  });

  const build = figure => {
    const part = selector => figure.querySelector(selector), every = selector => [...figure.querySelectorAll(selector)];
    const head = JSON.parse(document.getElementById(figure.id + "-head").textContent);
    const { n, step } = head;
    const symbol = part("[data-price=symbol]"), detector = part("[data-price=detector]"), plot = part(".plot");
    const state = { n, regimes: [], alerts: new Uint32Array(n + 1), colours: [], raw: "" };
    let chart, series, markers, prices, views = [], digits = 0, turn = 0, settling = 0, pressed = false;
    // What the chart holds: candles of so many bars, from the candle of this number on; and the rows that are seen.
    let size = 0, first = 0, stop = 0, seen = [0, n];

    const view = () => views[detector.value || 0];
    // Where row 0 begins in px, and how wide a row is; candles and rows both have their number in their middle.
    state.scale = () => {
      const scale = chart.timeScale(), zero = scale.logicalToCoordinate(0), wide = scale.logicalToCoordinate(1000) - zero;
      return zero === null ? [0, 0] : [zero - (first + 0.5) * wide / 1000, wide / 1000 / size];
    };
    const visible = () => {
      const { from, to } = chart.timeScale().getVisibleLogicalRange();
      return [(from + first + 0.5) * size, (to + first + 0.5) * size];
    };

    // Show the rows between two places, in candles no narrower than a px.
    const show = (from, to) => {
      seen = [from, to];
      const wanted = 2 ** Math.max(0, Math.ceil(Math.log2((to - from) / Math.max(plot.clientWidth - 60, 200))));
      const enough = [Math.max(0, Math.floor(from / wanted) - SLACK), Math.min(Math.ceil(n / wanted), Math.ceil(to / wanted) + SLACK)];
      if (wanted !== size || from / size < first || to / size > stop) {
        [size, first, stop] = [wanted, ...enough];
        series.setData(candles(prices, head, size, first, stop));
        mark();
        read(Math.ceil(n / size) - 1);
      }
      chart.timeScale().setVisibleLogicalRange({ from: from / size - first - 0.5, to: to / size - first - 0.5 });
    };
    // The label of the first time is wider than its half of a candle.
    const all = () => show(-18 * n / plot.clientWidth, n);

    // After a gesture, other candles may fit what is seen; never during one, which would lose its hold.
    const settle = () => {
      clearTimeout(settling);
      settling = setTimeout(() => {
        if (!pressed) show(...visible());
      }, SETTLED);
    };

    // Another window shows the same rows.
    const resize = () => {
      chart.resize(plot.clientWidth, plot.clientHeight);
      const foot = (BAND + 2 * GAP + COUNTS) / Math.max(plot.clientHeight - 28, 100);
      series.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: foot + 0.02 } });
      show(...seen);
    };

    const mark = () => {
      const numbers = view().top.map(([row]) => Math.floor(row / size)).filter(number => number >= first && number < stop);
      markers.setMarkers([...new Set(numbers)].sort((a, b) => a - b).map(number => (
        { time: secondsOf(head, number * size), position: "aboveBar", shape: "arrowDown", color: state.raw })));
    };

    const paint = () => {
      const ink = colour("--ink-2"), axis = colour("--axis"), line = { color: ink, labelBackgroundColor: ink };
      state.raw = colour("--raw");
      state.colours = head.regimes.map((_, k) => colour(`--series-${k % 8 + 1}`));
      chart.applyOptions({
        layout: {
          background: { color: "transparent" }, textColor: ink, fontFamily: getComputedStyle(document.body).fontFamily,
          fontSize: Math.round(0.8 * parseFloat(getComputedStyle(document.documentElement).fontSize)),
        },
        grid: { vertLines: { visible: false }, horzLines: { color: colour("--grid") } }, crosshair: { vertLine: line, horzLine: line },
        rightPriceScale: { borderColor: axis }, timeScale: { borderColor: axis },
      });
      series.applyOptions({
        upColor: colour("--paper"), downColor: ink, borderUpColor: ink, borderDownColor: ink, wickUpColor: ink, wickDownColor: ink,
      });
    };

    // Title, note and table are those of the chosen symbol and detector.
    const tell = () => {
      const { title, note, rows, top } = view();
      const places = new Uint8Array(n);
      rows.reduce((row, gap) => { places[row + gap] = 1; return row + gap; }, 0);
      state.alerts = running(n, i => places[i]);
      part(".moving figcaption strong").textContent = title;
      part(".moving figcaption span").textContent = note;
      plot.setAttribute("aria-label", `${title}: ${note}`);
      const table = part("table[id]");
      if (!table) return;
      const heads = [...table.tHead.rows[0].cells];
      heads.forEach(th => th.removeAttribute("aria-sort"));
      table.tBodies[0].replaceChildren(...top.map(([, cells]) => {
        const row = document.createElement("tr");
        row.append(...cells.map(([text, sort], i) => {
          const cell = document.createElement(i ? "td" : "th");
          if (i) cell.className = heads[i].className; else cell.scope = "row";
          if (sort !== null) cell.dataset.sort = sort;
          cell.textContent = text;
          return cell;
        }));
        return row;
      }));
    };

    const read = number => {
      if (number < 0 || number * size >= n) return;
      const [candle] = candles(prices, head, size, number, number + 1), write = price => spelled(price, digits);
      const regime = head.regimes[mostFrequent(state.regimes, number * size, (number + 1) * size)];
      const alerts = within(state.alerts, number * size, (number + 1) * size), bars = Math.min(size, n - number * size);
      part(".readout").textContent = [
        new Date(candle.time * 1000).toISOString().slice(0, step % 60 ? 19 : 16).replace("T", " ") + (bars > 1 ? `, ${bars} bars` : ""),
        candle.open === undefined ? "no bar" :
          `open ${write(candle.open)} high ${write(candle.high)} low ${write(candle.low)} close ${write(candle.close)}`,
        regime, alerts > 1 ? `${alerts} alerts` : alerts ? "alert" : "",
      ].filter(Boolean).join(" · ");
    };

    const choose = async () => {
      const mine = ++turn, i = Number(symbol.value);
      const [bytes, found] = await Promise.all([
        inflated(`${figure.id}-bars-${i}`).then(body => body.arrayBuffer()), inflated(`${figure.id}-alerts-${i}`).then(body => body.json()),
      ]);
      if (mine !== turn) return;
      prices = pricesOf(new Uint8Array(bytes), n, head.symbols[i]);
      views = found;
      digits = digitsOf(prices, head.symbols[i].decimals);
      state.regimes = prices.labels ? head.regimes.map((_, k) => running(n, row => prices.labels[row] === k + 1)) : [];
      if (!chart) open();
      series.applyOptions({ priceFormat: { type: "custom", minMove: 10 ** -digits, formatter: price => spelled(price, digits) } });
      tell();
      size = 0;
      resize();
    };

    const open = () => {
      figure.classList.add("live");
      chart = createChart(plot, {
        layout: { attributionLogo: false },  // its words and its link stand below the chart
        localization: { locale: "en-GB", dateFormat: "yyyy-MM-dd" },
        rightPriceScale: { mode: PriceScaleMode.Logarithmic, entireTextOnly: true },
        timeScale: { timeVisible: step < 86400, secondsVisible: step % 60 > 0, minBarSpacing: 0.1 },
        handleScroll: { mouseWheel: false, vertTouchDrag: false }, handleScale: { mouseWheel: false },
      });
      series = chart.addSeries(CandlestickSeries, { priceLineVisible: false, lastValueVisible: false });
      markers = createSeriesMarkers(series, []);
      chart.panes()[0].attachPrimitive(strips(state));
      chart.subscribeCrosshairMove(({ logical }) => read(logical === undefined ? Math.ceil(n / size) - 1 : logical + first));
      chart.timeScale().subscribeVisibleLogicalRangeChange(settle);
      paint();
    };

    const press = button => every("[data-bars]").forEach(other => other.setAttribute("aria-pressed", other === button));
    const zoom = (factor, middle = 0.5) => {
      const [from, to] = visible(), at = from + (to - from) * middle;
      const wide = Math.min(Math.max((to - from) * factor, FEWEST), n);
      show(at - wide * middle, at + wide * (1 - middle));
      press(null);
    };
    const move = share => {
      const [from, to] = visible();
      show(from + share * (to - from), to + share * (to - from));
      press(null);
    };
    const moves = { earlier: () => move(-0.5), later: () => move(0.5), closer: () => zoom(0.5), further: () => zoom(2) };

    return choose().then(() => {
      all();
      new ResizeObserver(() => { if (plot.clientWidth) resize(); }).observe(plot);
      symbol.addEventListener("change", choose);
      detector.addEventListener("change", () => { tell(); mark(); paint(); read(Math.ceil(n / size) - 1); });
      for (const button of every("[data-bars]")) {
        button.addEventListener("click", () => { press(button); Number(button.dataset.bars) ? show(n - button.dataset.bars, n) : all(); });
      }
      for (const button of every("[data-move]")) button.addEventListener("click", moves[button.dataset.move]);
      plot.addEventListener("pointerdown", () => { pressed = true; press(null); });
      for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, () => { if (pressed) { pressed = false; settle(); } });
      // The wheel alone scrolls the page; a pinch on a touch pad arrives as a wheel with Ctrl.
      plot.addEventListener("wheel", event => {
        if (!event.ctrlKey) return;
        event.preventDefault();
        zoom(Math.exp(event.deltaY / 300), event.offsetX / plot.clientWidth);
      }, { passive: false });
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { paint(); mark(); });
      requestAnimationFrame(() => requestAnimationFrame(() => performance.mark(`drawn ${figure.id}`)));
    });
  };

  // Whatever fails, the pictures that are in the page stay.
  for (const figure of document.querySelectorAll(".price")) build(figure).catch(() => figure.classList.remove("live"));
})();
