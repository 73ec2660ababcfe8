"use strict";
(() => {
  const PAGE = 25;
  const written = new Intl.NumberFormat("en");

  const text = (column, row) => {
    if (column.kind === "text") return column.names[column.values[row]];
    if (column.kind === "time") return new Date(column.values[row] * 60000).toISOString().slice(0, 16).replace("T", " ");
    return column.texts[row];
  };
  const plain = (column, row) => column.kind === "number" ? column.values[row] ?? "" : text(column, row);
  // A spreadsheet runs what begins like a formula; an apostrophe in front makes it text.
  const field = value => {
    if (typeof value === "number") return String(value);
    const safe = /^[\s]*[=+\-@\t\r]/.test(value) ? "'" + value : value;
    return '"' + safe.replaceAll('"', '""') + '"';
  };

  for (const place of document.querySelectorAll(".records")) {
    const { columns } = JSON.parse(document.getElementById(place.id + "-data").textContent);
    const every = columns[0].values.map((_, row) => row);
    const heads = [...place.querySelectorAll("thead th")];
    const body = place.querySelector("tbody");
    const filter = place.querySelector("input");
    const status = place.querySelector("output");
    const [before, after] = place.querySelectorAll("[data-turn]");
    let rows = every, sorted = -1, down = false, first = 0;

    const draw = () => {
      first = Math.max(0, Math.min(first, Math.floor((rows.length - 1) / PAGE) * PAGE));
      const shown = rows.slice(first, first + PAGE);
      body.replaceChildren(...shown.map(row => {
        const line = document.createElement("tr");
        columns.forEach((column, j) => {
          const cell = document.createElement(j ? "td" : "th");
          if (!j) cell.scope = "row";
          cell.className = column.kind === "number" ? "number" : "text";
          cell.textContent = text(column, row);
          line.append(cell);
        });
        return line;
      }));
      status.textContent = rows.length
        ? `${written.format(first + 1)} to ${written.format(first + shown.length)} of ${written.format(rows.length)}`
        : "nothing found";
      before.disabled = first === 0;
      after.disabled = first + PAGE >= rows.length;
    };
    const arrange = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const matches = columns.map(column => column.names?.map(name => words.map(word => name.toLowerCase().includes(word))));
      rows = every.filter(row => words.every((word, k) => columns.some((column, j) => matches[j]
        ? matches[j][column.values[row]][k]
        : column.kind === "time" && text(column, row).includes(word))));
      if (sorted >= 0) {
        const column = columns[sorted], sign = down ? -1 : 1;
        const order = column.kind === "text"
          ? [...column.names.keys()].sort((a, b) => column.names[a].localeCompare(column.names[b])).reduce((ranks, code, rank) => { ranks[code] = rank; return ranks; }, [])
          : null;
        const key = row => order ? order[column.values[row]] : column.values[row];
        rows = rows.slice().sort((a, b) => {
          const x = key(a), y = key(b);
          return x === null || y === null ? (x === null) - (y === null) : sign * (x - y);
        });
      }
      first = 0;
      draw();
    };

    heads.forEach((head, j) => head.querySelector("button").addEventListener("click", () => {
      down = sorted === j ? !down : columns[j].kind !== "text";
      sorted = j;
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      arrange();
    }));
    filter.addEventListener("input", arrange);
    before.addEventListener("click", () => { first -= PAGE; draw(); });
    after.addEventListener("click", () => { first += PAGE; draw(); });
    place.querySelector("[data-csv]").addEventListener("click", event => {
      const lines = [columns.map(column => field(column.label + (column.unit ? ` (${column.unit})` : "")))];
      rows.forEach(row => lines.push(columns.map(column => field(plain(column, row)))));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([lines.map(line => line.join(",")).join("\r\n") + "\r\n"], { type: "text/csv" }));
      link.download = event.currentTarget.dataset.csv;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
    draw();
  }
})();
