/* Tables of results sort by a click on a heading, and long ones filter by a word; wide tables of words can be stacked, and
   wide figures moved; terms show their definition. Without this script they are plain. Text is moved and compared, never
   made into HTML. */
"use strict";

/* The number that a cell shows ("1,234", "12 %", "−0.3"), or NaN where it shows words or nothing. */
function numberIn(text) {
  const plain = text.replace(/,(?=\d{3})/g, "").replace("−", "-").replace(/\s*%$/, "");
  return plain === "" ? NaN : Number(plain);
}

/* Compare two cells: numbers by value, words by letters; numbers before words, empty cells ("–") last. */
function compareCells(a, b, sign) {
  const empty = (text) => text === "" || text === "–";
  if (empty(a) || empty(b)) return empty(a) - empty(b);
  const [x, y] = [numberIn(a), numberIn(b)];
  if (isNaN(x) !== isNaN(y)) return isNaN(x) - isNaN(y);
  return sign * (isNaN(x) ? a.localeCompare(b, "en", { numeric: true }) : x - y);
}

function sortBy(table, column) {
  const headings = [...table.tHead.rows[0].cells];
  const sign = headings[column].getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const text = (row) => row.cells[column].textContent.trim();
  const rows = [...table.tBodies[0].rows].sort((a, b) => compareCells(text(a), text(b), sign));
  table.tBodies[0].append(...rows);
  headings.forEach((heading) => heading.removeAttribute("aria-sort"));
  headings[column].setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    if (!button.textContent.trim()) return;
    button.addEventListener("click", () => sortBy(table, column));
    heading.append(button);
  });
}

function makeFilterable(table) {
  const rows = [...table.tBodies[0].rows];
  const [bar, field, count] = ["div", "input", "span"].map((name) => document.createElement(name));
  bar.className = "table-filter";
  field.type = "search";
  field.placeholder = "Filter rows";
  field.setAttribute("aria-label", "Show only the rows of the table below that contain these words");
  count.setAttribute("role", "status");
  const show = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const cells = (row) => [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
    rows.forEach((row) => (row.hidden = !words.every((word) => cells(row).includes(word))));
    count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  };
  field.addEventListener("input", show);
  bar.append(field, count);
  table.before(bar);
  show();
}

/* A table as comma-separated values. A text that a spreadsheet would take for a formula is quoted. */
function asCsv(table) {
  const text = (cell) => cell.textContent.trim().replace(/\s+/g, " ").replace(/^[=@]/, "'$&");
  const line = (row) => [...row.cells].map((cell) => `"${text(cell).replace(/"/g, '""')}"`).join(",");
  return [...table.rows].map(line).join("\r\n") + "\r\n";
}

function makeDownloadable(table, number) {
  const page = location.pathname.split("/").pop().replace(/\.html$/, "") || "table";
  const [bar, button, link] = ["div", "button", "a"].map((name) => document.createElement(name));
  bar.className = "table-tools";
  button.type = "button";
  button.textContent = "Download CSV";
  button.setAttribute("aria-label", `Download table ${number + 1} of this page as CSV`);
  button.addEventListener("click", () => {
    link.href = URL.createObjectURL(new Blob(["\ufeff", asCsv(table)], { type: "text/csv" }));
    link.download = `${page}-${number + 1}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
  bar.append(button);
  const source = table.nextElementSibling; // what made it, beside the button
  if (source?.matches(".made-by")) bar.prepend(source);
  table.after(bar);
}

/* On a narrow page the style stacks the cells of a row, each below the heading of its column. That they are cells must
   then be said: a browser forgets it of what is not laid out as a table. */
function makeStackable(table) {
  const headings = [...table.tHead.rows[0].cells].map((heading) => heading.textContent.trim());
  table.classList.add("stackable");
  table.setAttribute("role", "table");
  for (const row of table.rows) {
    row.setAttribute("role", "row");
    [...row.cells].forEach((cell, column) => {
      const isHeading = row.parentElement === table.tHead;
      cell.setAttribute("role", isHeading ? "columnheader" : "cell");
      if (!isHeading && column > 0) cell.dataset.heading = cell.textContent.trim() && headings[column];
    });
  }
  for (const part of [table.tHead, ...table.tBodies]) part.setAttribute("role", "rowgroup");
}

/* On a narrow page a wide figure moves within a frame; it would shrink until its letters could not be read. */
function frameWide(image) {
  if (image.naturalWidth < 560) return;
  const frame = document.createElement("div");
  frame.className = "figure-frame";
  image.replaceWith(frame);
  frame.append(image);
}

/* What scrolls within itself must be reached by the keyboard. */
function letKeysScroll() {
  const boxes = ".bd-article :is(table, mjx-container[display='true'], .figure-frame)";
  for (const box of document.querySelectorAll(boxes)) {
    const isCut = box.scrollWidth > box.clientWidth + 1 || box.classList.contains("long");
    if (isCut) box.tabIndex = 0;
  }
}

/* A cell of words keeps a width at which they can be read; otherwise many columns would leave it one word a line. */
function widenWords(table) {
  for (const cell of table.querySelectorAll("tbody td")) {
    const length = cell.textContent.length;
    if (length > 60) cell.classList.add("sentence");
    else if (length > 18) cell.classList.add("phrase");
  }
}

/* A term shows its definition beside it: to a pointer, to the keyboard, and to a first touch; a second one follows the
   link. Escape hides it. The build has put it into the title of the link (lib/braintune/workflow/book/sphinx.py). */
function defineTerms() {
  const box = document.createElement("div");
  let shown, leaving, isFirstTouch;
  const hide = () => {
    box.hidden = true;
    shown?.removeAttribute("aria-describedby");
    shown = null;
  };
  const leave = () => shown === document.activeElement || hide();
  const hideSoon = () => (leaving = setTimeout(leave, 250)); // so that a pointer reaches the definition
  const stay = () => clearTimeout(leaving);
  const show = (link) => {
    stay();
    if (shown !== link) hide();
    shown = link;
    link.setAttribute("aria-describedby", box.id);
    box.textContent = link.dataset.definition;
    box.hidden = false;
    const [frame, words] = [box.offsetParent.getBoundingClientRect(), [...link.getClientRects()].pop()];
    const isLow = words.bottom + box.offsetHeight > innerHeight && words.top > box.offsetHeight;
    const right = Math.min(frame.right, innerWidth) - box.offsetWidth;
    box.style.left = `${Math.max(0, Math.min(words.left, right) - frame.left)}px`;
    box.style.top = `${(isLow ? words.top - box.offsetHeight : words.bottom) - frame.top}px`;
  };
  Object.assign(box, { id: "definition", role: "tooltip", hidden: true, onmouseenter: stay, onmouseleave: hideSoon });
  document.querySelector(".bd-article")?.append(box);
  for (const link of document.querySelectorAll(".bd-article a[title]:has(> .std-term)")) {
    link.dataset.definition = link.title;
    link.removeAttribute("title");
    for (const event of ["mouseenter", "focus"]) link.addEventListener(event, () => show(link));
    for (const event of ["mouseleave", "blur"]) link.addEventListener(event, hideSoon);
    link.addEventListener("pointerdown", (event) => (isFirstTouch = event.pointerType === "touch" && shown !== link));
    link.addEventListener("click", (event) => {
      if (isFirstTouch) event.preventDefault();
      isFirstTouch = false;
      show(link);
    });
  }
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  document.addEventListener("pointerdown", (event) => box.contains(event.target) || shown?.contains(event.target) || hide());
}

/* Names and roles that the theme and docutils get wrong, for those who hear the page. */
function mendRoles() {
  for (const arrow of document.querySelectorAll("summary:has(> .toctree-toggle)")) {
    const chapter = arrow.parentElement.previousElementSibling?.textContent.trim();
    arrow.setAttribute("aria-label", `Pages below: ${chapter}`);
  }
  for (const list of document.querySelectorAll(".citation-list")) list.removeAttribute("role");
  const sidebar = document.querySelector(".bd-sidebar-primary");
  sidebar?.setAttribute("role", "region");
  sidebar?.setAttribute("aria-label", "Title, search and contents");
}

document.addEventListener("DOMContentLoaded", () => {
  mendRoles();
  defineTerms();
  document.querySelectorAll("table.results").forEach(makeDownloadable);
  for (const table of document.querySelectorAll("table.results:not(.matrix)")) {
    if (table.tHead?.rows.length !== 1 || table.tBodies.length !== 1) continue;
    const rows = table.tBodies[0].rows.length;
    if (rows > 2) makeSortable(table);
    if (rows > 15) makeFilterable(table);
    table.classList.toggle("long", rows > 40);
    widenWords(table);
  }
  for (const table of document.querySelectorAll(".bd-article table.table")) {
    if (table.tHead?.rows[0].cells.length > 2) makeStackable(table);
  }
  letKeysScroll();
  window.addEventListener("resize", letKeysScroll);
});

window.addEventListener("load", () => {
  document.querySelectorAll(".bd-article :is(figure, .cell_output) img").forEach(frameWide);
  letKeysScroll();
});
