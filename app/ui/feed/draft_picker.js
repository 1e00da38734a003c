// Selectable drafts under their prompts. Texts arrive as data and are only set as attributes or text nodes.
const views = new WeakMap()
const ICONS = {
  look: "M5 5h6v2H8.4l3.3 3.3-1.4 1.4L7 8.4V11H5V5zm14 14h-6v-2h2.6l-3.3-3.3 1.4-1.4 3.3 3.3V13h2v6z",
  failed: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm1 15h-2v-2h2v2zm0-4h-2V7h2v6z",
}

function makeTile(item) {
  const image = make("img", "", { alt: "", decoding: "async", width: item.width, height: item.height })
  const marks = [make("span", "mark", { "aria-hidden": "true" }), make("span", "note")]
  const pick = make("button", "pick", { type: "button", role: "checkbox" }, image, ...marks)
  const tile = make("div", "tile", {}, pick, iconButton("look", "", "look"))
  tile.dataset.id = item.id
  return tile
}

function showTile(tile, item, number) {
  const [pick, look] = tile.children
  const image = pick.querySelector("img")
  if (image.getAttribute("src") !== item.src) image.src = item.src
  const name = item.finished
    ? say("Draft {number}, seed {seed}, drawn in full", { number, seed: item.seed })
    : say("Draft {number}, seed {seed}", { number, seed: item.seed })
  pick.setAttribute("aria-label", name)
  look.setAttribute("aria-label", say("Look at draft {number}", { number }))
  look.title = say("Look at it")
  pick.querySelector(".note").textContent = item.finished ? say("finished") : ""
}

function makePart() {
  return make("div", "part", {}, make("h2", "prompt"), make("div", "grid", { role: "group" }), make("div", "remarks"))
}

function makeRemark(remark) {
  const text = make("span", "")
  text.textContent = remark.text
  return make("p", remark.failed ? "remark failed" : "remark", {}, ...(remark.failed ? [icon("failed")] : []), text)
}

export default function (component) {
  const { data, parentElement, setStateValue, setTriggerValue } = component
  speak(data.words)
  let view = views.get(parentElement)
  if (!view || !parentElement.contains(view.root)) {
    // The server knows the picks from the first click on; until then, it sends the earlier ones.
    view = { root: make("div", "parts"), picked: new Set(data.picked) }
    parentElement.append(view.root)
    views.set(parentElement, view)
  }
  const { root, picked } = view
  root.classList.toggle("narrow", data.narrow)
  const tiles = () => [...root.querySelectorAll(".tile")]
  const known = new Map(tiles().map((tile) => [tile.dataset.id, tile]))
  let number = 0
  data.parts.forEach((part, index) => {
    if (!root.children[index]) root.append(makePart())
    const [prompt, grid, remarks] = root.children[index].children
    prompt.hidden = !part.prompt
    prompt.textContent = prompt.title = part.prompt
    grid.hidden = !part.items.length
    grid.setAttribute("aria-label", part.prompt ? say("Drafts of {prompt}", { prompt: part.prompt }) : say("Drafts"))
    part.items.forEach((item, place) => {
      const tile = known.get(item.id) ?? makeTile(item)
      known.delete(item.id)
      showTile(tile, item, ++number)
      if (grid.children[place] !== tile) grid.insertBefore(tile, grid.children[place] ?? null)
    })
    remarks.replaceChildren(...part.remarks.map(makeRemark))
  })
  for (const gone of known.values()) {
    picked.delete(gone.dataset.id)
    gone.remove()
  }
  while (root.children.length > data.parts.length) root.lastChild.remove()
  const show = () => {
    for (const tile of tiles()) tile.firstChild.setAttribute("aria-checked", String(picked.has(tile.dataset.id)))
  }
  show()
  root.onclick = (event) => {
    const tile = event.target.closest(".tile")
    if (!tile) return
    if (event.target.closest(".look")) return setTriggerValue("look", tile.dataset.id)
    if (!picked.delete(tile.dataset.id)) picked.add(tile.dataset.id)
    show()
    setStateValue("picked", tiles().map((other) => other.dataset.id).filter((id) => picked.has(id)))
  }
  root.onkeydown = (event) => {
    const steps = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }
    const tile = event.target.closest(".tile")
    if (!tile || !(event.key in steps)) return
    event.preventDefault()
    const all = tiles()
    all[all.indexOf(tile) + steps[event.key]]?.firstChild.focus()
  }
}
