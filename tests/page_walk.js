// Uses the page as a person would, and records its texts, for test_page.py.
const get = (id) => document.getElementById(id),
  said = {},
  app = lookInside;
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const texts = (selector) => [...document.querySelectorAll(selector)].map((element) => element.textContent);
const type = (id, text) => {
  get(id).value = text;
  get(id).dispatchEvent(new Event("input", { bubbles: true }));
};
const press = (element, key) =>
  element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const button = (text, where = document) =>
  [...where.querySelectorAll("button")].find((element) => element.textContent === text);
const answer = () => texts("#answer .chip").join(" ");
const question = (number) => document.querySelectorAll(".question")[number - 1];
const result = (number) => question(number).querySelector(".result").textContent;

(async () => {
  await pause(50);
  said.check = get("check").textContent;
  said.warning = get("warning").hidden;

  // Ask: by typing, by clicking, and with errors.
  type("sequence", "3 4 5");
  said.typed = [answer(), texts("#answer small"), get("verdict").textContent, get("problem").textContent];
  type("sequence", "3 4 x");
  said.wrong = [
    answer(),
    get("problem").textContent,
    get("sequence").getAttribute("aria-invalid"),
    get("answer-box").className,
  ];
  type("sequence", "345");
  said.unspaced = get("problem").textContent;
  type("sequence", "");
  said.empty = get("problem").textContent;
  type("sequence", "3 4");
  const key = button("5", get("keys"));
  key.focus();
  key.click();
  said.clicked = [get("sequence").value, document.activeElement === key];
  get("back").click();
  said.back = get("sequence").value;
  get("next-example").click();
  said.example = get("sequence").value === app.text(app.run.examples[1].input);
  type("sequence", "8 7 6 5 4 3 2 2 2 2 2 2");
  said.longer = get("problem").textContent;
  type("sequence", "3 4 5 6 7");

  // The encoder, with the keyboard.
  const steps = get("encoder-maps").querySelectorAll(".timeline-steps button");
  steps[0].click();
  said.encoder = [get("encoder-step-title").textContent, app.encoderStep.direction];
  press(steps[0], "ArrowRight");
  said.next = [get("encoder-step-title").textContent, document.activeElement === steps[1]];
  steps[5].click();
  said.backward = get("encoder-step-title").textContent;
  get("encoder-step").querySelectorAll("button")[0].click();
  said.before = get("encoder-step-title").textContent;
  steps[4].click();
  get("steps").lastElementChild.firstElementChild.click();
  type("sequence", "3 4");
  said.shorter = ["encoder-step", "decoder-step"].map((id) =>
    [...get(id).querySelectorAll("button")].map(({ disabled }) => disabled),
  );
  type("sequence", "3 4 5 6 7");
  get("encoder-maps").querySelectorAll(".timeline-steps button")[8].click();
  const cell = get("encoder-cell").querySelector("canvas");
  for (const arrow of ["ArrowRight", ...Array(7).fill("ArrowDown")]) press(cell, arrow);
  said.cell = get("encoder-cell").querySelector(".readout").textContent;

  // The state: a unit with the keyboard, another one with the pointer, then a part of the other sequence.
  type("other", "8 8 8 8 8");
  const [first, second] = get("state-rows").querySelectorAll("canvas");
  press(first, "ArrowRight");
  press(first, "ArrowRight");
  press(first, "Enter");
  said.zero = [
    [...app.marks[0].c],
    app.startState[0].c[1],
    document.querySelector("#state .readout").textContent,
    get("changes").textContent,
  ];
  said.unit = result(2);
  const bounds = second.getBoundingClientRect();
  second.dispatchEvent(new MouseEvent("click", { clientX: bounds.left + 5, clientY: bounds.top + 5, bubbles: true }));
  said.pointer = [...app.marks[0].c];
  get("undo").click();
  said.undone = [
    [...app.marks[0].c],
    get("undo").hidden,
    answer() === app.text(app.plain.map(({ prediction }) => prediction)),
  ];
  const rows = get("state-rows").querySelectorAll(".state-row");
  button("other", rows[0]).click();
  button("other", rows[2]).click();
  said.other = [result(4), get("changes").textContent, button("other", rows[0]).getAttribute("aria-pressed")];
  get("all-zero").click();
  said.zeros = app.startState[0].c.every((value) => value === 0);
  get("undo").click();

  // The decoder: another symbol is fed back after the second step.
  document.querySelectorAll("#steps button")[1].click();
  const before = app.steps.map(({ prediction }) => prediction),
    logits = get("logits").querySelectorAll("button");
  said.step = [get("step-title").textContent, texts("#code .value"), texts("#code code")];
  const fed = (before[1] + 1) % 9;
  logits[fed].click();
  said.fed = [
    app.steps[2].symbol === fed,
    logits[fed].getAttribute("aria-pressed"),
    result(3),
    texts("#code .value")[2],
  ];
  logits[before[1]].click();
  said.unfed = app.fed.size;

  // Training, maps and measurements.
  get("moment").value = 0;
  get("moment").dispatchEvent(new Event("input"));
  said.moment = [get("moment").getAttribute("aria-valuetext"), result(1)];
  get("dependence").scrollIntoView();
  await pause(5000);
  said.map = get("dependence-map").querySelector("canvas").height;
  const map = get("dependence-map").querySelector("canvas");
  press(map, "ArrowRight");
  said.cellOfMap = get("dependence-map").querySelector(".readout").textContent;
  said.growth = [...get("growth").querySelectorAll("canvas")].map((canvas) => canvas.height > 1);
  get("growth").querySelectorAll("button")[1].click();
  said.chosen = app.moment;
  for (const name of ["Try all 16 numbers", "Try every step"])
    [...document.querySelectorAll("#questions button")].find((element) => element.textContent === name)?.click();
  await pause(5000);
  said.tried = [2, 3].map((number) => question(number).textContent);

  // The source.
  const link = get("encoder").querySelector("button.link");
  link.click();
  said.source = [
    link.textContent,
    get("source").open,
    get("source-title").textContent,
    document.querySelector("#source-text .meant").textContent,
  ];
  button("Close").click();

  // For everybody.
  said.nameless = [...document.querySelectorAll("button, input, canvas, dialog")]
    .filter((element) => {
      const labels = element.labels ? [...element.labels].map((label) => label.textContent).join("") : "";
      const by = element.getAttribute("aria-labelledby");
      return !(
        element.getAttribute("aria-label") ||
        labels ||
        (by && get(by)) ||
        element.textContent.trim() ||
        element.closest(".growth button")
      );
    })
    .map((element) => element.outerHTML.slice(0, 80));
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  said.twice = ids.filter((id, index) => ids.indexOf(id) !== index);
  said.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  said.images = document.querySelectorAll("img, script[src], link[rel=stylesheet], iframe").length;
  finish(said);
})().catch((error) => finish({ ...said, error: String(error.stack) }));
