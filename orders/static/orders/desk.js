// A page that keeps itself fresh: every two seconds its parts are asked for, and those that say something new are swapped.
"use strict";
window.addEventListener("load", () => {
  // Days are the viewer's; the server learns of the zone from a cookie.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  if (!document.cookie.split("; ").includes(`zone=${zone}`)) {
    document.cookie = `zone=${zone}; path=/; max-age=31536000; samesite=lax${window.location.protocol === "https:" ? "; secure" : ""}`;
  }
  const desk = document.getElementById("desk") || document.getElementById("desk-still");
  if (!desk || !window.fetch) return;
  const AGAIN_MS = 2000;
  const GIVE_UP_MS = 4000;
  const shown = new Map();
  const charts = new Map();

  const colour = (name) => getComputedStyle(desk).getPropertyValue(name).trim() || "gray";
  const draw = (canvas) => {
    const Chart = window.Chart;
    if (!Chart) return;
    const points = JSON.parse(canvas.dataset.points).map(Number); // for the eye alone
    const from = canvas.dataset.from === "first" ? points[0] : 0;
    const line = points[points.length - 1] < from ? colour("--bad") : colour("--good");
    charts.set(
      canvas,
      new Chart(canvas, {
        type: "line",
        data: {
          labels: JSON.parse(canvas.dataset.days),
          datasets: [{ data: points, borderColor: line, borderWidth: 2, pointRadius: 0, pointHitRadius: 12, tension: 0 }],
        },
        options: {
          animation: false,
          maintainAspectRatio: false,
          plugins: { legend: { display: false } },
          scales: {
            x: { grid: { display: false }, ticks: { color: colour("--quiet"), maxTicksLimit: 5, maxRotation: 0 } },
            y: { grid: { color: colour("--line") }, ticks: { color: colour("--quiet"), maxTicksLimit: 4 } },
          },
        },
      }),
    );
  };
  const drawAll = (place) => place.querySelectorAll("canvas[data-curve]").forEach(draw);
  const redraw = () => {
    for (const [canvas, chart] of charts) {
      chart.destroy();
      charts.delete(canvas);
      if (canvas.isConnected) draw(canvas);
    }
  };

  const swap = (text) => {
    const parsed = new DOMParser().parseFromString(text, "text/html");
    const fresh = parsed.querySelectorAll("[data-part]");
    if (!fresh.length) return false;
    for (const part of fresh) {
      const name = part.dataset.part;
      const place = desk.querySelector(`[data-part="${CSS.escape(name)}"]`);
      if (!place || shown.get(name) === part.innerHTML) continue;
      const first = !shown.has(name) && place.innerHTML === part.innerHTML;
      shown.set(name, part.innerHTML);
      if (first) continue;
      const active = place.contains(document.activeElement) ? document.activeElement : null;
      const focused = active && active.getAttribute("href");
      const named = active && active.id;
      const scrolled = [...place.querySelectorAll(".trio-scroll")].map((box) => box.scrollLeft);
      for (const canvas of place.querySelectorAll("canvas")) {
        if (charts.has(canvas)) charts.get(canvas).destroy();
        charts.delete(canvas);
      }
      place.innerHTML = part.innerHTML;
      [...place.querySelectorAll(".trio-scroll")].forEach((box, at) => (box.scrollLeft = scrolled[at] || 0));
      const same = named && document.getElementById(named);
      if (same) same.focus({ preventScroll: true });
      else if (focused) {
        const again = [...place.querySelectorAll("a[href]")].find((link) => link.getAttribute("href") === focused);
        if (again) again.focus({ preventScroll: true });
      }
      drawAll(place);
    }
    return true;
  };

  const ask = async () => {
    const waiting = new AbortController();
    const late = setTimeout(() => waiting.abort(), GIVE_UP_MS);
    try {
      const answer = await fetch(desk.dataset.url, {
        credentials: "same-origin",
        headers: { "X-Requested-With": "XMLHttpRequest" },
        signal: waiting.signal,
      });
      if (answer.redirected) {
        window.location.reload(); // the session is over: the whole page asks for the login
        return;
      }
      if (answer.ok && swap(await answer.text())) document.dispatchEvent(new CustomEvent("desk:fresh"));
    } catch (error) {
      if (error.name !== "AbortError" && error.name !== "TypeError") throw error; // its age says that nothing came
    } finally {
      clearTimeout(late);
      setTimeout(again, AGAIN_MS);
    }
  };
  const again = () => (document.hidden ? setTimeout(again, AGAIN_MS) : ask());
  drawAll(desk);
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["class"] }); // dark, light
  if (desk.dataset.url) setTimeout(again, AGAIN_MS);
});
