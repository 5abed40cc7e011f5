// A picture of prices: bars, the levels of a trio, how they moved, what was executed. Drawn with the chart library of the
// admin; the server sends plain numbers as text, and nothing that is drawn is worked out further here.
"use strict";
(() => {
  const css = (element, name) => getComputedStyle(element).getPropertyValue(name).trim() || "gray";
  const COLOURS = { stop: "--chart-stop", target: "--chart-target", entry: "--chart-entry", mark: "--text", even: "--quiet" };
  const DASHES = { stop: [6, 3], target: [2, 3], entry: [], even: [1, 4], mark: [] };
  const decimals = (tick) => {
    const [, part = ""] = String(tick || "").split(".");
    return part.length;
  };
  // On the grid of the market, in its own decimals, and towards safety as the server rounds (orders/domain/fitting.py): a
  // long's stop up, its target and entry down; a short's mirrored.
  const onTick = (price, tick, kind, side) => {
    const ticks = price / Number(tick);
    const near = Math.round(ticks);
    const whole = Math.abs(ticks - near) < 1e-6 ? near : (kind === "stop") === (side === "BUY") ? Math.ceil(ticks) : Math.floor(ticks);
    return (whole * Number(tick)).toFixed(decimals(tick));
  };
  const hour = (at, timeframe) => {
    const moment = new Date(at);
    return timeframe === "1d"
      ? moment.toLocaleDateString(undefined, { day: "numeric", month: "short" })
      : moment.toLocaleString(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false });
  };

  // Lines with their names at the right edge: a plugin, so that each is drawn over the bars.
  const lines = (host) => ({
    id: "levels",
    afterDatasetsDraw(chart) {
      const { ctx, chartArea: area, scales } = chart;
      ctx.save();
      ctx.font = "11px sans-serif";
      const taken = [];
      for (const level of host.levels) {
        const y = scales.y.getPixelForValue(Number(level.price));
        if (y < area.top - 1 || y > area.bottom + 1) continue;
        const colour = css(host.canvas, COLOURS[level.kind] || "--quiet");
        ctx.strokeStyle = ctx.fillStyle = colour;
        ctx.lineWidth = level === host.held ? 3 : 1.5;
        ctx.setLineDash(DASHES[level.kind] || []);
        ctx.beginPath();
        ctx.moveTo(area.left, y);
        ctx.lineTo(area.right, y);
        ctx.stroke();
        let at = Math.max(area.top + 10, y - 4);
        while (taken.some((other) => Math.abs(other - at) < 12)) at += 12;
        taken.push(at);
        ctx.fillText(`${level.name} ${level.price}${level.drags ? "  ↕" : ""}`, area.left + 4, at);
      }
      ctx.restore();
    },
  });

  // The axis stays while all of it fits: what moved is the price, not the picture under the hand.
  const axisOf = (prices, host) => {
    const low = Math.min(...prices);
    const high = Math.max(...prices);
    if (host.axis) {
      const { min, max } = host.axis;
      const hair = (max - min) * 0.002;
      if (low >= min - hair && high <= max + hair) return host.axis;
    }
    const air = (high - low || Math.abs(high) || 1) * (host.drags ? 0.2 : 0.06);
    return { min: low - air, max: high + air };
  };

  const make = (host, data) => {
    const bars = data.bars.map((bar) => [bar[0], ...bar.slice(1).map(Number)]);
    const quiet = css(host.canvas, "--quiet");
    const rises = css(host.canvas, "--chart-up");
    const falls = css(host.canvas, "--chart-down");
    const body = bars.map((bar) => (bar[4] >= bar[1] ? rises : falls));
    const steps = (data.paths || []).map((path) => ({
      type: "line",
      label: path.kind,
      data: path.points.map(([x, y]) => ({ x, y: Number(y) })),
      stepped: true,
      borderColor: css(host.canvas, COLOURS[path.kind]),
      borderWidth: 2,
      pointRadius: 0,
    }));
    const fills = {
      type: "scatter",
      label: "Executions",
      data: (data.fills || []).map((fill) => ({ x: fill.at, y: Number(fill.price), what: `${fill.what} at ${fill.price}` })),
      pointStyle: (data.fills || []).map((fill) => "triangle"),
      rotation: (data.fills || []).map((fill) => (fill.side === "BUY" ? 0 : 180)),
      radius: 7,
      borderColor: css(host.canvas, "--text"),
      backgroundColor: (data.fills || []).map((fill) => (fill.side === "BUY" ? rises : falls)),
    };
    const prices = bars.flatMap((bar) => [bar[2], bar[3]]);
    const levels = host.levels.map((level) => Number(level.price));
    for (const path of data.paths || []) for (const point of path.points) levels.push(Number(point[1]));
    const all = [...prices, ...levels, ...(data.fills || []).map((fill) => Number(fill.price))].filter(Number.isFinite);
    host.axis = axisOf(all, host);
    const chart = new window.Chart(host.canvas, {
      type: "bar",
      data: {
        datasets: [
          { label: "low to high", data: bars.map((bar) => ({ x: bar[0], y: [bar[3], bar[2]] })), backgroundColor: body, barThickness: 1, grouped: false },
          { label: "open to close", data: bars.map((bar) => ({ x: bar[0], y: [bar[1], bar[4]] })), backgroundColor: body, barThickness: 5, grouped: false, minBarLength: 1 },
          ...steps,
          fills,
        ],
      },
      options: {
        animation: false,
        maintainAspectRatio: false,
        events: host.drags ? [] : ["mousemove", "mouseout", "touchstart"],
        plugins: {
          legend: { display: false },
          tooltip: {
            filter: (item) => item.dataset.label === "Executions" || item.datasetIndex === 1,
            callbacks: {
              title: (items) => (items.length ? hour(items[0].parsed.x, data.timeframe) : ""),
              label: (item) => {
                if (item.raw.what) return item.raw.what;
                const bar = data.bars[item.dataIndex];
                return bar ? `open ${bar[1]}, high ${bar[2]}, low ${bar[3]}, close ${bar[4]}` : "";
              },
            },
          },
        },
        scales: {
          x: { type: "linear", offset: false, grid: { display: false }, ticks: { color: quiet, maxTicksLimit: 6, maxRotation: 0, callback: (value) => hour(value, data.timeframe) } },
          y: { ...host.axis, position: "right", grid: { color: css(host.canvas, "--line") }, ticks: { color: quiet, maxTicksLimit: 7, callback: (value) => Number(value).toFixed(decimals(data.tick)) } },
        },
      },
      plugins: [lines(host)],
    });
    return chart;
  };

  const draw = (host, data) => {
    const text = JSON.stringify([data.bars, data.paths, data.fills, host.levels.map((level) => level.name), document.documentElement.className]);
    if (host.chart && text === host.text) {
      host.chart.update("none");
      return;
    }
    host.text = text;
    if (host.chart) host.chart.destroy();
    host.chart = make(host, data);
  };

  const ask = async (url) => {
    const answer = await fetch(url, { credentials: "same-origin", headers: { "X-Requested-With": "XMLHttpRequest" } });
    if (!answer.ok || answer.redirected) throw new Error(`HTTP ${answer.status}`);
    return answer.json();
  };

  // A line is taken hold of, carried and let go; what that means is for the page to say.
  const drags = (host, { tick, to, end }) => {
    const { canvas } = host;
    let was = "";
    const nearest = (y) =>
      host.levels
        .filter((level) => level.drags)
        .map((level) => [Math.abs(host.chart.scales.y.getPixelForValue(Number(level.price)) - y), level])
        .filter(([away]) => away <= 14)
        .sort((one, other) => one[0] - other[0])[0];
    canvas.addEventListener("pointerdown", (event) => {
      const near = host.chart && tick() && nearest(event.offsetY);
      if (!near) return;
      host.held = near[1];
      was = host.held.price;
      canvas.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    // A finger on a line carries it; elsewhere it scrolls the page.
    canvas.addEventListener("touchstart", (event) => host.held && event.preventDefault(), { passive: false });
    canvas.addEventListener("pointermove", (event) => {
      if (!host.held) {
        canvas.style.cursor = host.chart && nearest(event.offsetY) ? "ns-resize" : "";
        return;
      }
      const area = host.chart.chartArea;
      const price = host.chart.scales.y.getValueForPixel(Math.min(area.bottom, Math.max(area.top, event.offsetY)));
      if (price > 0) to(host.held, price);
      host.chart.update("none");
    });
    const letGo = (ended) => () => {
      if (!host.held) return;
      const level = host.held;
      host.held = null;
      if (ended) end(level, was);
      else to(level, Number(was));
      host.chart.update("none");
    };
    canvas.addEventListener("pointerup", letGo(true));
    canvas.addEventListener("pointercancel", letGo(false));
  };

  // --- a trio's own page ---
  window.addEventListener("load", () => {
    const place = document.getElementById("trio-chart");
    if (!place || !window.Chart) return;
    const canvas = place.querySelector("canvas");
    const host = { canvas, levels: [] };
    let tick = "";
    let side = "";
    let moves = {};
    const said = place.querySelector(".chart-said");
    const show = async () => {
      let again = 5000;
      try {
        const data = await ask(place.dataset.url);
        if (host.held) throw new Error("a line is held"); // it is not drawn anew under the hand
        tick = data.tick;
        side = data.side;
        moves = data.moves;
        host.levels = data.levels.map((level) => ({ ...level, drags: Boolean(tick && moves[level.kind]) }));
        draw(host, data);
        const names = data.levels.map((level) => `${level.name} ${level.price}`).join(", ");
        host.canvas.setAttribute("aria-label", `Prices in bars of ${data.timeframe}, with ${names}; ${data.fills.length} executions`);
        said.textContent = data.bars.length
          ? `Bars of ${data.timeframe}. ▲ bought, ▼ sold; steps show where stop and target were.`
          : data.read
            ? "The exchange shows no bars of this time."
            : "The exchange has not shown its bars yet: they are asked for again.";
        if (host.levels.some((level) => level.drags)) said.textContent += " Drag a line with ↕: it asks before anything is moved.";
        place.dataset.drawn = "yes";
        if (!data.live && data.read) again = 0;
      } catch (error) {
        if (!host.held) said.textContent = "The chart could not be refreshed: the back office does not answer.";
      }
      if (again) setTimeout(() => (document.hidden ? setTimeout(show, again) : show()), again);
    };
    // A line that is let go asks by the verb's own question; the person confirms it there, or types another level.
    const asks = async (kind, price) => {
      const content = document.getElementById("modal-content");
      await window.htmx.ajax("GET", moves[kind], { target: content, select: "#dialog", swap: "innerHTML" });
      const level = content.querySelector("[name=level]");
      if (level) level.value = price; // else it was refused, and that is said
    };
    drags(host, {
      tick: () => tick,
      to: (level, price) => (level.price = onTick(price, tick, level.kind, side)),
      end: (level, was) => {
        const price = level.price;
        level.price = was; // where it is until the exchange has it
        if (price !== was) asks(level.kind, price);
      },
    });
    show();
    new MutationObserver(() => {
      host.text = "";
    }).observe(document.documentElement, { attributeFilter: ["class"] });
  });

  // --- the order form: its levels, in step with its fields ---
  window.addEventListener("load", () => {
    const place = document.getElementById("ticket-chart");
    const form = document.getElementById("trioorder_form");
    if (!place || !form || !window.Chart) return;
    const canvas = place.querySelector("canvas");
    const said = place.querySelector(".chart-said");
    const host = { canvas, levels: [], drags: true };
    const FIELDS = { entry: ["price", "Entry"], stop: ["stop_loss", "Stop-loss"], target: ["take_profit", "Take-profit"] };
    let data = null;
    let known = ""; // the market that data is of
    let carried = false;
    const value = (field) => {
      const input = form.elements.namedItem(field);
      return input && input.value ? input.value : "";
    };
    const market = () => (value("account") && value("symbol") ? `${value("account")} ${value("symbol")}` : "");
    const tickNow = () => (data && known === market() && data.tick) || "";
    // What is drawn is of the market that the form names, or nothing is.
    const clear = () => {
      if (!data || known === market()) return;
      data = null;
      host.held = null;
      host.axis = null;
      host.levels = [];
      if (host.chart) host.chart.destroy();
      host.chart = null;
      canvas.setAttribute("aria-label", "Prices");
      said.textContent = "The market was changed: its lines can be dragged once its rules are here.";
    };
    // What the server understood is beside the field; a plain number is one already.
    const understood = (field) => {
      const input = form.elements.namedItem(field);
      const typed = input && input.value ? input.value.trim() : "";
      if (/^\d+(\.\d+)?$/.test(typed)) return typed;
      const word = form.querySelector(`.ticket-word[data-for="${field}"]`);
      const found = word && typed && /Understood as (\d+(?:\.\d+)?)/.exec(word.textContent);
      return found ? found[1] : "";
    };
    const levels = () => {
      const found = [];
      for (const [kind, [field, name]] of Object.entries(FIELDS)) {
        if (kind === "entry" && form.elements.namedItem("entry_type") && form.elements.namedItem("entry_type").value !== "LIMIT") continue;
        const price = understood(field);
        if (price) found.push({ kind, name, price, field, drags: Boolean(tickNow()) });
      }
      if (data && data.mark) found.push({ kind: "mark", name: "Mark", price: data.mark });
      return found;
    };
    const show = ({ typed = false } = {}) => {
      if (!data || host.held) return;
      const now = levels();
      const was = JSON.stringify(host.levels);
      if (JSON.stringify(now) === was && host.chart) return;
      host.levels = now;
      host.text = "";
      if (typed) host.axis = null; // what is typed is shown whole
      draw(host, data);
      canvas.setAttribute("aria-label", `Prices, with ${now.map((level) => `${level.name} ${level.price}`).join(", ") || "no level yet"}`);
    };
    const refresh = async () => {
      clear();
      const asked = market();
      if (!asked) return;
      try {
        const fresh = await ask(`${place.dataset.url}?account=${encodeURIComponent(value("account"))}&symbol=${encodeURIComponent(value("symbol"))}`);
        if (host.held || asked !== market()) return;
        data = fresh;
        known = asked;
        host.levels = [];
        place.hidden = false;
        show();
        said.textContent = !tickNow()
          ? "This market's tick is not known: no line can be dragged."
          : data.bars.length
            ? "Drag a line: its field takes the price, on the market's tick. Arrow keys in a field do the same by one tick."
            : "The exchange shows no bars yet; the lines can be dragged all the same.";
      } catch (error) {
        if (asked !== market()) return;
        said.textContent = data
          ? "The chart could not be refreshed: the back office does not answer."
          : "No line can be dragged: the rules of this market could not be read.";
      }
    };
    const put = (level, price) => {
      const tick = tickNow();
      if (!tick) return;
      const input = form.elements.namedItem(level.field);
      input.value = onTick(price, tick, level.kind, value("side"));
      level.price = input.value;
      carried = true;
      input.dispatchEvent(new Event("input", { bubbles: true }));
      carried = false;
    };
    drags(host, { tick: tickNow, to: put, end: () => {} });
    form.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
      const tick = step && tickNow();
      const level = tick && levels().find((one) => one.drags && one.field === event.target.name);
      if (!level || form.elements.namedItem(level.field).value.trim() !== level.price) return;
      event.preventDefault();
      put(level, Number(level.price) + step * Number(tick));
      show();
    });
    form.addEventListener("input", () => setTimeout(show, 0, { typed: !carried }));
    new MutationObserver(() => setTimeout(show, 0)).observe(document.getElementById("ticket-preview"), { childList: true });
    const $ = window.django && window.django.jQuery;
    if ($) $(form).on("change", "select", refresh);
    form.addEventListener("change", show);
    const again = async () => {
      if (!document.hidden) await refresh();
      setTimeout(again, 3000);
    };
    again();
  });
})();
