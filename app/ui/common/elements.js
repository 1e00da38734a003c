// Shared elements of components. Texts are only set as attributes or text nodes. Each component has its own ICONS.
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

// Keys that belong to the focused element: a text field, a slider, or a list.
function isTakenBy(event) {
  const target = event.composedPath()[0]
  if (!(target instanceof Element)) return false
  if (target.closest("input, textarea, select, [contenteditable=true], [contenteditable='']")) return true
  return Boolean(target.closest("[role=slider], [role=radio], [role=tab], [role=option], [role=combobox], [role=listbox], [role=grid]"))
}
