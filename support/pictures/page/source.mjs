// Links into the source files that the page holds.

import { find, make } from "./dom.mjs";

/** Returns codeLine(key), link(key) and links(functions) for the places that page.py has found. */
export function sourceLinks({ sources, places }) {
  find("source").addEventListener("click", (event) => {
    if (event.target === event.currentTarget) event.currentTarget.close();
  });

  function show({ file, first, last }) {
    const text = find("source-text");
    find("source-title").textContent = `${file}, lines ${first} to ${last}`;
    const lines = sources[file].split("\n").map((line, index) => {
      const isMeant = index + 1 >= first && index + 1 <= last;
      const number = make("span", { className: "line-number" }, `${index + 1}`);
      return make("span", { className: isMeant ? "line meant" : "line" }, number, `${line}\n`);
    });
    text.replaceChildren(...lines);
    find("source").showModal();
    text.querySelector(".meant")?.scrollIntoView({ block: "start" });
  }

  function link(key) {
    const { file, first } = places[key];
    const properties = { type: "button", className: "link", title: `Show ${key} in ${file}` };
    return make("button", { ...properties, onclick: () => show(places[key]) }, `${file.split("/").at(-1)}:${first}`);
  }

  return {
    link,
    /** Returns the first line of a place, without its indentation. */
    codeLine: (key) => sources[places[key].file].split("\n")[places[key].first - 1].trim(),
    /** Returns a line that names functions of the script, each with a link to its source. */
    links(functions) {
      const named = Object.entries(functions).map(([key, name]) =>
        make("span", {}, make("code", {}, name), " ", link(key)),
      );
      return make("p", { className: "in-script" }, "In the script: ", ...named);
    },
  };
}
