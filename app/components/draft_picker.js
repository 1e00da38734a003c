// Drafts to pick from. Texts arrive as data and are only ever set as attributes or text nodes.
const views = new WeakMap()

function make(tag, className, attributes = {}) {
  const element = document.createElement(tag)
  element.className = className
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  return element
}

function makeTile(item) {
  const tile = make("div", "tile")
  tile.dataset.id = item.id
  const pick = make("button", "pick", { type: "button", role: "checkbox" })
  const image = make("img", "", { alt: "", decoding: "async", width: item.width, height: item.height })
  pick.append(image, make("span", "mark", { "aria-hidden": "true" }), make("span", "note"))
  const look = make("button", "look", { type: "button" })
  look.textContent = "⤢"
  tile.append(pick, look)
  return tile
}

export default function (component) {
  const { data, parentElement, setStateValue, setTriggerValue } = component
  let view = views.get(parentElement)
  if (!view || !parentElement.contains(view.grid)) {
    // What was picked is known to the server from the first press on; until then it says what was picked before.
    view = { grid: make("div", "grid", { role: "group", "aria-label": "Drafts" }), picked: new Set(data.picked) }
    parentElement.append(view.grid)
    views.set(parentElement, view)
  }
  const { grid, picked } = view
  const known = new Map([...grid.children].map((tile) => [tile.dataset.id, tile]))
  data.items.forEach((item, index) => {
    const tile = known.get(item.id) ?? makeTile(item)
    known.delete(item.id)
    const [pick, look] = tile.children
    const image = pick.querySelector("img")
    if (image.getAttribute("src") !== item.src) image.src = item.src
    const name = `Draft ${index + 1}, seed ${item.seed}${item.finished ? ", drawn in full" : ""}`
    pick.setAttribute("aria-label", name)
    look.setAttribute("aria-label", `Look at draft ${index + 1}`)
    look.title = "Look at it"
    pick.querySelector(".note").textContent = item.finished ? "finished" : ""
    if (grid.children[index] !== tile) grid.insertBefore(tile, grid.children[index] ?? null)
  })
  for (const gone of known.values()) {
    picked.delete(gone.dataset.id)
    gone.remove()
  }
  const show = () => {
    for (const tile of grid.children)
      tile.firstChild.setAttribute("aria-checked", String(picked.has(tile.dataset.id)))
  }
  show()
  grid.onclick = (event) => {
    const tile = event.target.closest(".tile")
    if (!tile) return
    if (event.target.closest(".look")) return setTriggerValue("look", tile.dataset.id)
    if (!picked.delete(tile.dataset.id)) picked.add(tile.dataset.id)
    show()
    setStateValue("picked", [...grid.children].map((other) => other.dataset.id).filter((id) => picked.has(id)))
  }
  grid.onkeydown = (event) => {
    const steps = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }
    const tile = event.target.closest(".tile")
    if (!tile || !(event.key in steps)) return
    event.preventDefault()
    const next = steps[event.key] < 0 ? tile.previousElementSibling : tile.nextElementSibling
    next?.firstChild.focus()
  }
}
