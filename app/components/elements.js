// What the components of the viewer are made of. Texts are only ever set as attributes or text nodes.
const ICONS = {
  back: "M15.400 7.400 14 6l-6 6 6 6 1.400-1.400-4.600-4.600z",
  forth: "M8.600 16.600 10 18l6-6-6-6-1.400 1.400 4.600 4.600z",
  plus: "M11 19v-6H5v-2h6V5h2v6h6v2h-6v6z",
  minus: "M5 13v-2h14v2z",
  fit: "M4 20v-5h2v3h3v2zm11 0v-2h3v-3h2v5zM4 9V4h5v2H6v3zm14 0V6h-3V4h5v5z",
  help: "M11.900 18q.5 0 .9-.4t.4-.9-.4-.9-.9-.4-.9.4-.4.9.4.9.9.4m-.900-3.800h1.900q0-.9.200-1.300t1-1.200q.7-.7 1.100-1.300t.4-1.400q0-1.400-1-2.200T12.100 6q-1.400 0-2.300.8t-1.200 1.800l1.700.7q.1-.5.5-1.100t1.300-.6q.8 0 1.200.4t.4.9q0 .5-.3.900t-.7.800q-1.100 1-1.400 1.500t-.3 2.100M12 22q-4.200 0-7.100-2.900T2 12t2.900-7.100T12 2t7.100 2.900T22 12t-2.900 7.100T12 22m0-2q3.300 0 5.700-2.300T20 12t-2.300-5.700T12 4 6.300 6.300 4 12t2.300 5.700T12 20",
  close: "M6.400 19 5 17.600l5.600-5.600L5 6.400 6.400 5l5.600 5.600L17.600 5 19 6.400 13.400 12l5.600 5.600-1.400 1.400-5.600-5.600z",
  copy: "M9 18q-.8 0-1.400-.6T7 16V4q0-.8.6-1.400T9 2h9q.8 0 1.400.6T20 4v12q0 .8-.6 1.400T18 18zm0-2h9V4H9zm-4 6q-.8 0-1.400-.6T3 20V6h2v14h11v2z",
  check: "M9.500 18 4 12.500l1.400-1.400 4.100 4.100L18.600 6 20 7.400z",
  handle: "M9 17 4 12l5-5 1.400 1.400L6.800 12l3.600 3.600zm6 0-1.400-1.400 3.600-3.600-3.600-3.600L15 7l5 5z",
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg")
  svg.setAttribute("viewBox", "0 0 24 24")
  svg.setAttribute("aria-hidden", "true")
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path")
  path.setAttribute("d", ICONS[name])
  svg.append(path)
  return svg
}

function make(tag, className, attributes = {}, ...children) {
  const element = document.createElement(tag)
  element.className = className
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

function iconButton(className, label, name) {
  return make("button", className, { type: "button", "aria-label": label, title: label }, icon(name))
}

// Keys that belong to what has the focus: a text that is typed, a slider that is moved, a list that is chosen from.
function isTakenBy(event) {
  const target = event.composedPath()[0]
  if (!(target instanceof Element)) return false
  if (target.closest("input, textarea, select, [contenteditable=true], [contenteditable='']")) return true
  return Boolean(target.closest("[role=slider], [role=radio], [role=tab], [role=option], [role=combobox], [role=listbox], [role=grid]"))
}
