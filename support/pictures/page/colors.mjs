// The colours of the pictures: matplotlib's Blues for shares, its RdBu for numbers of either sign. On a dark page the
// scales start from dark instead of white.

const BLUES = ["#f7fbff", "#deebf7", "#c6dbef", "#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#08519c", "#08306b"];
const BLUE_TO_RED = [
  "#053061",
  "#2166ac",
  "#4393c3",
  "#92c5de",
  "#d1e5f0",
  "#f7f7f7",
  "#fddbc7",
  "#f4a582",
  "#d6604d",
  "#b2182b",
  "#67001f",
];
const DARK = "#1b222b"; // the ground of a dark figure
const DARK_BLUES = [DARK, "#0d2f57", "#08519c", "#2171b5", "#4292c6", "#6baed6", "#9ecae1", "#c6dbef"];
const DARK_BLUE_TO_RED = [
  "#a6d4ec",
  "#6cb2dc",
  "#3f8cc4",
  "#22619c",
  "#1c3f62",
  DARK,
  "#58222a",
  "#8f2430",
  "#c4403f",
  "#e97f62",
  "#f9bb9b",
];

const numbers = (color) => [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16));
const darkness = globalThis.matchMedia?.("(prefers-color-scheme: dark)");

export const isDark = () => Boolean(darkness?.matches);
export const whenThemeChanges = (redraw) => darkness?.addEventListener("change", redraw);

function scaleOf(name) {
  if (name === "share") return isDark() ? DARK_BLUES : BLUES;
  return isDark() ? DARK_BLUE_TO_RED : BLUE_TO_RED;
}

/** Returns red, green and blue for a value: a share in 0 ... 1, or a signed number in -limit ... limit. */
export function colorOf(name, value, limit = 1) {
  const stops = scaleOf(name),
    share = name === "share" ? value : (value / (limit || 1) + 1) / 2;
  const place = Math.min(1, Math.max(0, share || 0)) * (stops.length - 1),
    index = Math.min(Math.floor(place), stops.length - 2);
  const [a, b] = [numbers(stops[index]), numbers(stops[index + 1])];
  return a.map((from, channel) => Math.round(from + (b[channel] - from) * (place - index)));
}

export const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

/** Returns a colour for text that is readable on another colour. */
export function textOn([red, green, blue]) {
  const [r, g, b] = [red, green, blue].map((channel) => (channel / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.2 ? "#0b1620" : "#ffffff";
}

export const gradient = (name) => `linear-gradient(to right, ${scaleOf(name).join(", ")})`;
