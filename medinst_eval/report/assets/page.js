"use strict";
(() => {
  // Every text of a model or a data set reaches the page through textContent alone.
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  root.classList.add("js");
  for (const element of document.querySelectorAll(".js-only")) element.hidden = element.id === "samples";

  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // -- theme and metric set ---------------------------------------------------------------------
  const themes = ["auto", "light", "dark"];
  const themeButton = byId("theme");
  const remember = (key, value) => { try { localStorage.setItem(key, value); } catch { /* no storage */ } };
  const recall = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const setTheme = (theme) => {
    if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
    themeButton.textContent = `Theme: ${theme}`;
  };
  let theme = themes.includes(recall("medinst-theme")) ? recall("medinst-theme") : "auto";
  setTheme(theme);
  themeButton.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    setTheme(theme);
    remember("medinst-theme", theme);
  });
  for (const radio of document.querySelectorAll("input[name=set]")) {
    radio.addEventListener("change", () => {
      root.dataset.set = radio.value;
      if (sorted.column?.startsWith("score") || sorted.column === "difference" || sorted.column === "metric") sortTable();
    });
    if (radio.checked) root.dataset.set = radio.value;
  }

  byId("f-model")?.addEventListener("change", (event) => {
    for (const tick of document.querySelectorAll(".ref[data-model]")) {
      tick.classList.toggle("on", tick.dataset.model === event.target.value);
    }
  });

  // -- task table -------------------------------------------------------------------------------
  const table = byId("tasks-table");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (element, index) => ({ element, index, key: JSON.parse(element.dataset.row) }));
  const sorted = { column: null, down: false };
  const value = (row) => {
    const found = row.key[sorted.column];
    return found && typeof found === "object" ? found[root.dataset.set] : found;
  };
  function sortTable() {
    const sign = sorted.down ? -1 : 1;
    const order = sorted.column === null ? rows : [...rows].sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === y) return a.index - b.index;
      if (x === null || x === undefined) return 1;
      if (y === null || y === undefined) return -1;
      return sign * (typeof x === "number" ? x - y : String(x).localeCompare(String(y)));
    });
    body.append(...order.map((row) => row.element));
  }
  for (const header of table.tHead.rows[0].cells) {
    const column = header.dataset.sort;
    if (!column) continue;
    const button = make("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    header.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const text = ["name", "category", "metric"].includes(column);
      if (sorted.column !== column) { sorted.column = column; sorted.down = !text; }
      else if (sorted.down === !text) sorted.down = text;
      else sorted.column = null;
      for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.setAttribute("aria-sort", "none");
      if (sorted.column) header.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
      sortTable();
    });
  }
  const filters = { text: byId("f-text"), category: byId("f-category"), level: byId("f-level"), failed: byId("f-failed") };
  const filterTable = () => {
    const words = filters.text.value.trim().toLowerCase().split(/\s+/);
    let shown = 0;
    for (const { element, key } of rows) {
      const fits = words.every((word) => key.text.includes(word))
        && (!filters.category.value || key.category === filters.category.value)
        && (!filters.level.value || String(key.level) === filters.level.value)
        && (!filters.failed.checked || key.failed > 0);
      element.hidden = !fits;
      shown += fits;
    }
    byId("f-status").textContent = shown === rows.length ? `${shown} tasks` : `${shown} of ${rows.length} tasks`;
  };
  byId("task-filters").addEventListener("input", filterTable);
  byId("task-filters").addEventListener("submit", (event) => event.preventDefault());
  filterTable();

  // -- one task at a time -----------------------------------------------------------------------
  const tasks = Array.from(document.querySelectorAll(".task"));
  const pick = byId("pick");
  let current = -1;
  const openTask = (index, focus) => {
    current = index;
    tasks.forEach((section, i) => section.classList.toggle("open", i === index));
    pick.value = index < 0 ? "" : String(index);
    byId("pick-prev").disabled = index <= 0;
    byId("pick-next").disabled = index >= tasks.length - 1;
    byId("samples").hidden = index < 0;
    if (index < 0) return;
    if (focus) {
      const heading = tasks[index].querySelector("h3");
      heading.focus({ preventScroll: true });
      heading.scrollIntoView({ block: "start" });
    }
    openSamples(index);
  };
  const fromHash = () => {
    const match = /^#task-(\d+)$/.exec(location.hash);
    if (match && Number(match[1]) < tasks.length) openTask(Number(match[1]), true);
  };
  const go = (index) => { if (location.hash === `#task-${index}`) fromHash(); else location.hash = `task-${index}`; };
  pick.addEventListener("change", () => { if (pick.value) go(Number(pick.value)); });
  byId("pick-prev").addEventListener("click", () => go(current - 1));
  byId("pick-next").addEventListener("click", () => go(current + 1));
  window.addEventListener("hashchange", fromHash);

  // -- samples ----------------------------------------------------------------------------------
  const KINDS = ["found", "missed", "spurious", "wrong"];
  const KIND_NAMES = ["found", "missed", "spurious", "wrong type"];
  const STATUS = { ok: "parsed", unparsed: "unparsed", empty: "empty", truncated: "truncated", error: "engine error" };
  const PAGE = 20;
  const decoded = new Map();
  const ui = { text: byId("s-text"), show: byId("s-show"), run: byId("s-run"), order: byId("s-order"), list: byId("sample-list") };
  let view = { task: null, hits: [], page: 0 };

  const decode = async (index) => {
    if (decoded.has(index)) return decoded.get(index);
    const block = byId(`data-${index}`);
    if (!block) throw new Error("the page is not loaded completely");
    const bytes = Uint8Array.from(atob(block.textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const task = JSON.parse(await new Response(stream).text());
    for (const row of task.rows) {
      row.document = row.text === undefined ? "" : task.texts[row.text];
      row.search = [row.id, row.document, row.gold, ...row.runs.flatMap((r) => r ? [r.output ?? "", r.answer ?? "", r.note ?? ""] : [])].join("\n").toLowerCase();
    }
    decoded.set(index, task);
    return task;
  };

  const loaded = new Promise((resolve) => {
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", resolve); else resolve();
  });

  async function openSamples(index) {
    view = { task: null, hits: [], page: 0 };
    ui.list.replaceChildren(make("p", "muted", "Unpacking…"));
    byId("s-status").textContent = "";
    byId("marks-key").hidden = true;
    if (typeof DecompressionStream === "undefined") {
      ui.list.replaceChildren(make("p", "notice", "This browser cannot unpack the samples (no DecompressionStream). They are in samples.jsonl of the run folder; any browser of 2023 or later shows them here."));
      return;
    }
    await loaded;
    let task;
    try {
      task = await decode(index);
    } catch (error) {
      if (index === current) ui.list.replaceChildren(make("p", "notice", `The samples cannot be read: ${error.message}. Build the report again.`));
      return;
    }
    if (index !== current) return;
    view.task = task;
    fillChoices(task);
    byId("marks-key").hidden = !task.marked;
    filterSamples();
  }

  function fillChoices(task) {
    const run = ui.run ? Number(ui.run.value) : 0;
    const count = (test) => task.rows.filter((row) => row.runs[run] && test(row.runs[run], row)).length;
    const options = [
      ["all", "All", task.rows.length],
      ["wrong", task.wrong, count((r) => r.wrong)],
      ["right", "Right", count((r) => !r.wrong)],
      ...["unparsed", "empty", "truncated", "error"].map((s) => [s, STATUS[s][0].toUpperCase() + STATUS[s].slice(1), count((r) => r.status === s)]),
    ];
    if (task.graded) options[2][1] = "At or above the mean";
    if (task.rows.some((row) => row.runs.length > 1)) {
      options.push(["differ", "Judged differently by run", task.rows.filter(differs).length]);
    }
    const before = ui.show.value || "all";
    ui.show.replaceChildren(...options.filter(([key, , n]) => n || key === "all").map(([key, name, n]) => {
      const option = make("option", "", `${name} (${n.toLocaleString("en")})`);
      option.value = key;
      return option;
    }));
    ui.show.value = before;
    if (!ui.show.value) ui.show.value = "all";
  }
  const differs = (row) => new Set(row.runs.map((r) => r ? r.wrong : -1)).size > 1;

  function filterSamples() {
    const { task } = view;
    if (!task) return;
    const run = ui.run ? Number(ui.run.value) : 0;
    const needle = ui.text.value.trim().toLowerCase();
    const show = ui.show.value;
    const fits = {
      all: () => true, differ: differs,
      wrong: (row) => row.runs[run]?.wrong === 1, right: (row) => row.runs[run]?.wrong === 0,
    }[show] ?? ((row) => row.runs[run]?.status === show);
    view.hits = task.rows.filter((row) => fits(row) && (!needle || row.search.includes(needle)));
    if (ui.order.value !== "file") {
      const sign = (ui.order.value === "low") === task.higher ? 1 : -1;
      const score = (row) => row.runs[run]?.score ?? (task.higher ? -1 : Infinity);
      view.hits.sort((a, b) => sign * (score(a) - score(b)));
    }
    view.page = 0;
    showPage();
  }

  function showPage() {
    const pages = Math.max(1, Math.ceil(view.hits.length / PAGE));
    const start = view.page * PAGE;
    const shown = view.hits.slice(start, start + PAGE);
    ui.list.replaceChildren(...shown.map(sampleCard));
    if (!shown.length) ui.list.append(make("p", "muted", "No sample fits."));
    byId("s-status").textContent = `${view.hits.length.toLocaleString("en")} of ${view.task.rows.length.toLocaleString("en")} samples`;
    byId("s-page").textContent = shown.length ? `${start + 1} to ${start + shown.length}, page ${view.page + 1} of ${pages}` : "";
    byId("s-prev").disabled = view.page === 0;
    byId("s-next").disabled = view.page >= pages - 1;
    markSearch();
  }

  function markSearch() {
    if (typeof Highlight === "undefined" || !CSS.highlights) return;
    const needle = ui.text.value.trim().toLowerCase();
    CSS.highlights.delete("search");
    if (!needle) return;
    const ranges = [];
    const walker = document.createTreeWalker(ui.list, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const text = node.data.toLowerCase();
      if (text.length !== node.data.length) continue;
      for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + needle.length)) {
        const range = new Range();
        range.setStart(node, at);
        range.setEnd(node, at + needle.length);
        ranges.push(range);
      }
    }
    CSS.highlights.set("search", new Highlight(...ranges));
  }

  const letters = Array.from(document.querySelectorAll("#s-run option"), (option) => option.textContent);

  function field(name, text, className = "text") {
    const box = make("div", "field");
    box.append(make("span", "name", name), make("div", className, text));
    return box;
  }

  function sampleCard(row) {
    const { task } = view;
    const card = make("article", "sample");
    const head = make("header");
    const title = make("h5", "", row.id);
    title.id = `sample-${row.id}`;
    card.setAttribute("aria-labelledby", title.id);
    head.append(title);
    card.append(head);
    if (row.document && !task.marked) card.append(fold("Input", row.document));
    const alone = row.runs.length === 1;
    if (!task.marked && !alone) card.append(field("Gold", row.gold));
    row.runs.forEach((answer, index) => {
      const block = make("div", "answer-block");
      const line = verdictLine(answer, index);
      (alone ? head : block).append(line);
      if (answer) block.append(...(task.marked ? markedAnswer(row, answer) : plainAnswer(row, answer, alone)));
      card.append(block);
    });
    return card;
  }

  function verdictLine(answer, index) {
    const { task } = view;
    const line = make("p", "status-tag");
    if (letters.length) line.append(make("span", `key key-${index}`, letters[index].slice(0, 1)), " ");
    if (!answer) {
      line.append("not in this run");
      return line;
    }
    const failed = answer.status === "error";
    const right = task.graded ? "at or above the mean" : "right";
    const verdict = failed ? STATUS.error : answer.wrong ? task.wrong.toLowerCase() : right;
    const status = answer.status === "ok" || failed ? "" : `${STATUS[answer.status]}, `;
    const factor = task.higher ? 100 : 1;
    const score = answer.score === undefined ? ""
      : `, ${task.metric_name} ${(factor * answer.score).toFixed(task.higher ? 1 : 2)}`;
    line.append(
      make("span", answer.wrong || failed ? "bad" : "", `${status}${verdict}`),
      `${score}${answer.note ? ` (${answer.note})` : ""}`,
    );
    return line;
  }

  function markedAnswer(row, answer) {
    const { task } = view;
    const parts = row.document ? [markedText(row.document, answer, task)] : [];
    return [...parts, itemList(answer, task), fold("Gold and output as text", null, [
      field("Gold", row.gold, "text mono"), field("Output", answer.output ?? "", "text mono"),
    ])];
  }

  function plainAnswer(row, answer, withGold) {
    const pair = make("div", "pair");
    if (withGold) pair.append(field("Gold", row.gold));
    if (answer.answer && answer.answer !== answer.output) pair.append(field("Answer", answer.answer));
    pair.append(field("Output", answer.output ?? ""));
    return [pair];
  }

  function fold(name, text, children) {
    const details = make("details");
    details.append(make("summary", "", name));
    if (text !== null) details.append(make("div", "text", text));
    if (children) details.append(...children);
    return details;
  }

  const typeOf = (form, parts) => form === "events" ? parts[0] : form === "mentions" || form === "word_labels" ? "" : parts[1];

  // Marks may nest. Where they cross, the later one is cut in two at the end of the earlier one;
  // equal places of one kind share a mark.
  function markedText(text, answer, task) {
    const box = make("div", "text doc");
    const points = Array.from(text);
    const queue = gatherMarks(answer, points.length, numbered(task));
    const stack = [{ element: box, end: points.length, label: null }];
    const insert = (node) => stack.at(-1).element.insertBefore(node, stack.at(-1).label);
    let at = 0;
    const write = (until) => {
      if (until > at) insert(document.createTextNode(points.slice(at, until).join("")));
      at = Math.max(at, until);
    };
    const close = (until) => {
      while (stack.length > 1 && stack.at(-1).end <= until) {
        write(stack.at(-1).end);
        stack.pop();
      }
    };
    for (let next = 0; next < queue.length; next += 1) {
      const mark = queue[next];
      close(mark.start);
      write(mark.start);
      const { end: limit } = stack.at(-1);
      const crossing = mark.end > limit;
      if (crossing) {
        const place = queue.findIndex((other, i) => i > next && other.start >= limit);
        queue.splice(place < 0 ? queue.length : place, 0, { ...mark, start: limit });
      }
      const label = make("sup");
      if (!crossing) label.textContent = markLabel(mark, answer, task);
      label.prepend(make("span", "sr", ` [${KIND_NAMES[mark.kind]}] `));
      const element = make("mark", KINDS[mark.kind]);
      element.append(label);
      insert(element);
      stack.push({ element, end: Math.min(mark.end, limit), label });
    }
    close(points.length);
    write(points.length);
    return box;
  }

  const numbered = (task) => task.form === "relations" || task.form === "events";

  function gatherMarks(answer, length, anyKind) {
    const marks = [];
    const all = answer.marks
      .filter(([start, end]) => end <= length && start < end)
      .map(([start, end, item]) => ({ start, end, items: [item], kind: answer.items[item][0] }))
      .sort((a, b) => a.start - b.start || b.end - a.end || b.kind - a.kind);
    for (const mark of all) {
      const last = marks.at(-1);
      if (last?.start === mark.start && last.end === mark.end && (anyKind || last.kind === mark.kind)) {
        last.kind = Math.max(last.kind, mark.kind);
        last.items.push(...mark.items);
      } else marks.push(mark);
    }
    return marks;
  }

  function markLabel(mark, answer, task) {
    if (numbered(task)) return [...new Set(mark.items)].sort((a, b) => a - b).map((i) => i + 1).join(" ");
    const labels = mark.items.map((i) => {
      const [, gold, predicted] = answer.items[i];
      const own = typeOf(task.form, gold);
      return predicted ? `${typeOf(task.form, predicted)} ≠ ${own}` : own;
    });
    return [...new Set(labels)].join(", ");
  }

  function itemList(answer, task) {
    const box = make("div");
    KINDS.forEach((kind, index) => {
      const entries = answer.items.map((item, i) => [item, i + 1]).filter(([item]) => item[0] === index);
      if (!entries.length) return;
      const line = make("div", "item-line");
      line.append(make("span", "name", `${KIND_NAMES[index]} (${entries.length})`));
      const list = make("ul", "items");
      for (const [item, number] of entries) {
        const entry = make("li");
        if (numbered(task)) entry.append(make("span", "muted", `${number} `));
        entry.append(make("mark", kind, show(task.form, item[1])));
        if (item[2]) entry.append(make("span", "arrow", ` answered ${typeOf(task.form, item[2])}`));
        list.append(entry);
      }
      line.append(list);
      box.append(line);
    });
    if (!answer.items.length) box.append(make("p", "muted", "Nothing in the gold and nothing in the answer."));
    return box;
  }
  const show = (form, parts) => {
    if (form === "relations") return `${parts[0]} – ${parts[1]} – ${parts[2]}`;
    if (form === "events") return `${parts[0]}: ${parts.slice(1).join(" – ")}`;
    return parts.length > 1 ? `${parts[0]} (${parts[1]})` : parts[0];
  };

  let timer = 0;
  ui.text.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filterSamples, 60); });
  ui.show.addEventListener("change", filterSamples);
  ui.order.addEventListener("change", filterSamples);
  ui.run?.addEventListener("change", () => { if (view.task) { fillChoices(view.task); filterSamples(); } });
  byId("sample-filters").addEventListener("submit", (event) => event.preventDefault());
  const turn = (step) => { view.page += step; showPage(); byId("samples-h").scrollIntoView({ block: "start" }); };
  byId("s-prev").addEventListener("click", () => turn(-1));
  byId("s-next").addEventListener("click", () => turn(1));
  openTask(-1, false);
  fromHash();
})();
