// Small helpers for the page. Text from the user only ever becomes textContent, never HTML.

export const find = (id) => document.getElementById(id);

/** Makes an element. Properties that an element lacks, such as aria-label, become attributes. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Gives an element a number of children, and returns them. Children that stay keep the focus. */
export function resize(element, count, makeChild) {
  while (element.childElementCount > count) element.lastElementChild.remove();
  while (element.childElementCount < count) element.append(makeChild(element.childElementCount));
  return [...element.children];
}

export function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

/** Writes a text unless it is already there: a screen reader would repeat it. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const decimals = (value, digits = 2) =>
  value
    .toFixed(digits)
    .replace("-", "−")
    .replace(/^−(0\.?0*)$/, "$1");

/** Returns a probability as text, which is 1 or 0 only if the probability is. */
export function probability(value) {
  if (value < 1 && value >= 0.995) return "> 0.99";
  return value > 0 && value < 0.005 ? "< 0.01" : decimals(value);
}

export const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

export function ordinal(number) {
  const ending = { 1: "st", 2: "nd", 3: "rd" }[number % 10];
  return `${number}${ending && Math.floor((number % 100) / 10) !== 1 ? ending : "th"}`;
}

export const listed = (words) =>
  words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;

/** Runs a generator in short slices, so that the page stays responsive. Returns a function that stops it. */
export function inSlices(generator, progress, done) {
  let timer = setTimeout(function slice() {
    const end = performance.now() + 12;
    let result;
    do result = generator.next();
    while (!result.done && performance.now() < end);
    if (result.done) return done(result.value);
    progress(result.value);
    timer = setTimeout(slice);
  });
  return () => clearTimeout(timer);
}
