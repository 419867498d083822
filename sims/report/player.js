"use strict";
/* Plays one run: a map where tracks are known, else a timeline. Reads its data from the page. */
(() => {
  const holder = document.getElementById("animation-data");
  if (!holder) return;
  const data = JSON.parse(holder.textContent);
  const figure = document.getElementById("animation");
  const canvas = figure.querySelector("canvas");
  const pen = canvas.getContext("2d");
  const playButton = document.getElementById("play");
  const slider = document.getElementById("time");
  const speed = document.getElementById("speed");
  const status = document.getElementById("status");
  const DELIVERED = 0, NEVER_LEFT = 1, UNDER_WAY = 4;
  const CLASS_COLOURS = ["red", "blue", "green"];
  const ROLE_COLOURS = ["pink", "amber", "cyan", "grey"];
  const ROLE_SIZES = [8, 6.5, 6, 4.5];
  const isMap = data.kind === "map";
  const flash = data.span / 100;
  let now = 0, isPlaying = false, before = 0, width = 0, height = 0, colours = {};

  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["ink", "faint", "paper", "red", "blue", "green", "pink", "amber", "cyan", "grey"]) {
      colours[name] = style.getPropertyValue("--" + name).trim();
    }
  };
  const number = (value) => value.toLocaleString(data.language);
  const fill = (text, fields) => text.replace(/\{(\w+)\}/g, (_, name) => fields[name]);
  const pad = (value) => String(value).padStart(2, "0");
  const moment = (seconds) => fill(data.texts.moment, {
    day: Math.floor(seconds / 86400) + 1,
    clock: pad(Math.floor(seconds % 86400 / 3600)) + ":" + pad(Math.floor(seconds % 3600 / 60)),
  });

  /* The last index whose value is at or below the wanted one. */
  const find = (sorted, wanted) => {
    let low = 0, high = sorted.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (sorted[middle] <= wanted) low = middle; else high = middle - 1;
    }
    return low;
  };

  const dot = (x, y, radius, colour, isHollow) => {
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.lineWidth = 2;
    if (isHollow) { pen.strokeStyle = colour; pen.stroke(); } else { pen.fillStyle = colour; pen.fill(); }
  };
  const cross = (x, y, colour) => {
    pen.strokeStyle = colour;
    pen.lineWidth = 2.2;
    pen.beginPath();
    pen.moveTo(x - 5, y - 5); pen.lineTo(x + 5, y + 5);
    pen.moveTo(x + 5, y - 5); pen.lineTo(x - 5, y + 5);
    pen.stroke();
  };
  const line = (x1, y1, x2, y2, colour, thickness) => {
    pen.strokeStyle = colour;
    pen.lineWidth = thickness;
    pen.beginPath();
    pen.moveTo(x1, y1); pen.lineTo(x2, y2);
    pen.stroke();
  };

  /* --- map ------------------------------------------------------------------------------ */

  const places = () => {
    const at = find(data.times, now);
    const next = Math.min(at + 1, data.times.length - 1);
    const gap = data.times[next] - data.times[at];
    const part = gap > 0 ? Math.min(Math.max((now - data.times[at]) / gap, 0), 1) : 0;
    const edge = 26;
    const scale = Math.min((width - 2 * edge) / data.size[0], (height - 2 * edge) / data.size[1]);
    const left = (width - scale * data.size[0]) / 2;
    const top = (height - scale * data.size[1]) / 2;
    const found = data.labels.map((_, node) => {
      const [e1, e2] = [data.east[at][node], data.east[next][node]];
      const [n1, n2] = [data.north[at][node], data.north[next][node]];
      if (e1 < 0 || n1 < 0) return null;
      const isKnown = e2 >= 0 && n2 >= 0;
      const east = isKnown ? e1 + (e2 - e1) * part : e1;
      const north = isKnown ? n1 + (n2 - n1) * part : n1;
      return [left + scale * east, top + scale * (data.size[1] - north)];
    });
    return { found, scale };
  };

  const drawScale = (scale) => {
    const metresPerPixel = data.step_m / scale;
    let metres = 10;
    for (const each of [20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000]) {
      if (each / metresPerPixel < width / 3) metres = each;
    }
    const length = metres / metresPerPixel;
    line(10, height - 10, 10 + length, height - 10, colours.ink, 2);
    pen.fillStyle = colours.ink;
    pen.textAlign = "left";
    const text = metres >= 1000 ? data.texts.kilometres : data.texts.metres;
    pen.fillText(fill(text, { length: number(metres >= 1000 ? metres / 1000 : metres) }), 10, height - 17);
  };

  const drawMap = () => {
    const { found, scale } = places();
    for (const [start, end, a, b] of data.contacts) {
      if (start > now) break;
      if (now < end && found[a] && found[b]) line(...found[a], ...found[b], colours.grey, 1.2);
    }
    for (const [written, end, source, destination, priority, fate, died] of data.messages) {
      if (written > now) break;
      const colour = colours[CLASS_COLOURS[priority]];
      const [from, to] = [found[source], found[destination]];
      if (now <= end && from && to && fate !== NEVER_LEFT) {
        const part = fate === DELIVERED ? (now - written) / Math.max(end - written, 1) : 0;
        pen.globalAlpha = 0.35;
        line(...from, ...to, colour, 1);
        pen.globalAlpha = 1;
        dot(from[0] + (to[0] - from[0]) * part, from[1] + (to[1] - from[1]) * part, 3, colour);
      }
      const since = now - end;
      if (since >= 0 && since < flash) {
        const place = fate === DELIVERED ? to : found[died];
        if (place && fate === DELIVERED) dot(...place, 8 + 8 * since / flash, colour, true);
        else if (place && fate !== UNDER_WAY) cross(...place, colour);
      }
    }
    found.forEach((place, node) => {
      if (!place) return;
      const role = data.roles[node];
      const radius = ROLE_SIZES[role] * Math.min(1, 0.55 + width / 1800);
      dot(...place, radius + 1.5, colours.paper);
      dot(...place, radius, colours[ROLE_COLOURS[role]]);
    });
    pen.fillStyle = colours.ink;
    pen.textAlign = "center";
    pen.strokeStyle = colours.paper;
    pen.lineWidth = 3;
    const isCrowded = data.labels.length > 40;
    found.forEach((place, node) => {
      if (!place || (isCrowded && data.roles[node] > 1) || data.roles[node] > 2) return;
      const half = Math.min(pen.measureText(data.labels[node].slice(0, 18)).width / 2, width / 2);
      const x = Math.min(Math.max(place[0], half + 2), width - half - 2);
      pen.strokeText(data.labels[node].slice(0, 18), x, place[1] - 12);
      pen.fillText(data.labels[node].slice(0, 18), x, place[1] - 12);
    });
    drawScale(scale);
  };

  /* --- timeline ------------------------------------------------------------------------- */

  const drawTimeline = () => {
    const named = Math.min(110, width * 0.28);
    const top = 22;
    const step = (height - top - 6) / data.labels.length;
    const across = width - named - 8;
    const xOf = (seconds) => named + across * Math.min(seconds / data.span, 1);
    const yOf = (row) => top + step * (row + 0.5);
    const bin = across / 600;
    const days = data.span / 86400;
    const gap = days > 2 ? 86400 * Math.ceil(days / (width < 600 ? 4 : 8)) : data.span / 4;
    pen.fillStyle = colours.ink;
    pen.textAlign = "left";
    for (let time = 0; time < data.span; time += gap) {
      line(xOf(time), top - 4, xOf(time), height, colours.faint, 1);
      if (xOf(time) > width - 70) continue;
      const wording = width < 600 && days > 2 ? moment(time).split(/[,\u202f]/)[0] : moment(time);
      pen.fillText(wording, xOf(time) + 2, 12);
    }
    data.rows.forEach((row, index) => {
      pen.fillStyle = colours.faint;
      for (let each = 0; each < row.length; each += 2) {
        pen.fillRect(named + row[each] * bin, yOf(index) - step * 0.36, Math.max(row[each + 1] * bin, 1), step * 0.72);
      }
      pen.fillStyle = data.roles[index] === 0 ? colours.pink : colours.ink;
      if (step >= 10 || index % Math.ceil(10 / step) === 0) {
        pen.fillText(data.labels[index].slice(0, named / 6.4), 4, yOf(index) + 4);
      }
    });
    const size = Math.min(Math.max(step * 0.3, 2), 4);
    for (const [written, end, source, destination, priority, fate, died] of data.messages) {
      if (written > now) break;
      const colour = colours[CLASS_COLOURS[priority]];
      dot(xOf(written), yOf(source), size, colour, true);
      if (end > now) continue;
      if (fate === DELIVERED) {
        pen.globalAlpha = 0.22;
        line(xOf(written), yOf(source), xOf(end), yOf(destination), colour, 1);
        pen.globalAlpha = 1;
        dot(xOf(end), yOf(destination), size + 0.5, colour);
      } else if (died >= 0 && fate !== UNDER_WAY) cross(xOf(end), yOf(died), colour);
    }
    line(xOf(now), top - 4, xOf(now), height, colours.ink, 2);
  };

  /* --- both ----------------------------------------------------------------------------- */

  const tell = () => {
    let written = 0, arrived = 0, gone = 0;
    for (const [start, end, , , , fate] of data.messages) {
      if (start > now) break;
      written += 1;
      if (end <= now && fate === DELIVERED) arrived += 1;
      else if (end <= now && fate !== UNDER_WAY) gone += 1;
    }
    const fields = { moment: moment(now), written: number(written), arrived: number(arrived), gone: number(gone), alive: number(written - arrived - gone) };
    status.textContent = fill(data.texts.status, fields);
    slider.setAttribute("aria-valuetext", moment(now));
  };

  const draw = () => {
    pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif";
    if (isMap) drawMap(); else drawTimeline();
    tell();
  };

  const resize = () => {
    width = canvas.clientWidth;
    const shape = isMap ? Math.min(Math.max(data.size[1] / data.size[0], 0.5), 1.1) : 0;
    height = isMap ? Math.min(width * shape, 640) : Math.max(240, Math.min(data.labels.length * 16 + 28, 760));
    const density = window.devicePixelRatio || 1;
    canvas.style.height = height + "px";
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(height * density);
    pen.setTransform(density, 0, 0, density, 0, 0);
    draw();
  };

  const go = (seconds) => {
    now = Math.min(Math.max(seconds, 0), data.span);
    slider.value = String(Math.round(1000 * now / data.span));
    draw();
  };
  const setPlaying = (wanted) => {
    isPlaying = wanted;
    playButton.textContent = wanted ? data.texts.pause : data.texts.play;
    if (wanted) { before = performance.now(); requestAnimationFrame(frame); }
  };
  const frame = (stamp) => {
    if (!isPlaying) return;
    const passed = Math.max(stamp - before, 0) / 1000;
    before = stamp;
    go(now + passed * data.span / Number(speed.value));
    if (now >= data.span) setPlaying(false); else requestAnimationFrame(frame);
  };

  playButton.addEventListener("click", () => {
    if (!isPlaying && now >= data.span) go(0);
    setPlaying(!isPlaying);
  });
  slider.addEventListener("input", () => go(Number(slider.value) / 1000 * data.span));
  window.addEventListener("resize", resize);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); draw(); });
  readColours();
  /* A still picture tells most in the middle of a map, and at the end of a timeline. */
  now = isMap ? data.span / 2 : data.span;
  slider.value = String(Math.round(1000 * now / data.span));
  resize();
})();
