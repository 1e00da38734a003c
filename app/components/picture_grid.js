// A grid of pictures that loads lazily. Texts arrive as data and are only ever set as attributes or text nodes.
const ICONS = {
  star: "M12 17.3 6.2 20.800 7.700 14.200 2.600 9.800l6.700-.6L12 3l2.700 6.200 6.700.6-5.100 4.400 1.500 6.600z",
  hollow:
    "m8.900 16.800 3.100-1.900 3.100 1.900-.8-3.500 2.700-2.400-3.600-.3L12 7.300l-1.400 3.300-3.600.3 2.700 2.400zM5.800 21l1.600-7.100L2 9.200l7.200-.6L12 2l2.800 6.600 7.200.6-5.400 4.700L18.200 21 12 17.200z",
  download: "M12 16 7 11l1.400-1.400 2.600 2.600V4h2v8.200l2.600-2.600L17 11zM5 20v-5h2v3h10v-3h2v5z",
  trash: "M7 21q-.8 0-1.400-.6T5 19V6H4V4h5V3h6v1h5v2h-1v13q0 .8-.6 1.400T17 21zM17 6H7v13h10zM9 17h2V8H9zm4 0h2V8h-2z",
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

function control(tag, label, name) {
  const element = document.createElement(tag)
  element.className = "act"
  element.title = label
  element.setAttribute("aria-label", label)
  element.tabIndex = -1
  element.append(icon(name))
  return element
}

function makeTile(item) {
  const tile = document.createElement("div")
  tile.className = "tile"
  tile.dataset.id = item.id
  const open = document.createElement("button")
  open.className = "open"
  open.type = "button"
  open.tabIndex = -1
  const image = document.createElement("img")
  image.loading = "lazy"
  image.decoding = "async"
  image.addEventListener("error", () => {
    if (tile.querySelector(".broken")) return
    const note = document.createElement("span")
    note.className = "broken"
    note.textContent = "The link has expired. Reload the page."
    image.hidden = true
    tile.append(note)
  })
  image.addEventListener("load", () => {
    image.hidden = false
    tile.querySelector(".broken")?.remove()
  })
  open.append(image)
  const star = control("button", "", "hollow")
  star.classList.add("star")
  const bar = document.createElement("div")
  bar.className = "bar"
  const download = control("a", "Download (D)", "download")
  download.dataset.act = "download"
  const trash = control("button", "Delete (Del)", "trash")
  trash.dataset.act = "delete"
  bar.append(download, trash)
  tile.append(open, bar, star)
  return tile
}

function fillTile(tile, item) {
  tile.style.setProperty("--ratio", `${item.width} / ${item.height}`)
  const open = tile.querySelector(".open")
  open.setAttribute("aria-label", `Open: ${item.text}`)
  const image = tile.querySelector("img")
  image.alt = item.text
  if (image.getAttribute("src") !== item.src) image.src = item.src
  tile.querySelector("a").href = item.download
  showStar(tile, item.favourite)
}

function showStar(tile, favourite) {
  const star = tile.querySelector(".star")
  if (star.getAttribute("aria-pressed") === String(favourite)) return
  star.setAttribute("aria-pressed", String(favourite))
  star.title = favourite ? "Remove the star (.)" : "Star (.)"
  star.setAttribute("aria-label", star.title)
  star.replaceChildren(icon(favourite ? "star" : "hollow"))
}

function columnsOf(grid) {
  return getComputedStyle(grid).gridTemplateColumns.split(" ").length
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  let grid = parentElement.querySelector(".grid")
  if (!grid) {
    grid = document.createElement("div")
    grid.className = "grid"
    grid.setAttribute("role", "group")
    parentElement.append(grid)
  }
  grid.dataset.look = data.look
  grid.dataset.count = data.items.length
  grid.setAttribute("aria-label", data.label)

  // Nodes are kept by id, so that a rerun neither loads a picture again nor loses the focus.
  const known = new Map([...grid.children].map((tile) => [tile.dataset.id, tile]))
  const tiles = data.items.map((item) => {
    const tile = known.get(item.id) ?? makeTile(item)
    known.delete(item.id)
    fillTile(tile, item)
    return tile
  })
  for (const gone of known.values()) gone.remove()
  tiles.forEach((tile, index) => {
    if (grid.children[index] !== tile) grid.insertBefore(tile, grid.children[index] ?? null)
  })
  const opens = () => [...grid.querySelectorAll(".open")]
  if (!opens().some((open) => open.tabIndex === 0)) opens()[0]?.setAttribute("tabindex", "0")

  const send = (kind, id, extra = {}) => setTriggerValue("act", { kind, id, ...extra })
  const toggleStar = (tile) => {
    const favourite = tile.querySelector(".star").getAttribute("aria-pressed") !== "true"
    showStar(tile, favourite)
    send("star", tile.dataset.id, { favourite })
  }

  grid.onclick = (event) => {
    const tile = event.target.closest(".tile")
    if (!tile) return
    if (event.target.closest(".star")) toggleStar(tile)
    else if (event.target.closest("[data-act=delete]")) send("delete", tile.dataset.id)
    else if (event.target.closest(".open")) send("open", tile.dataset.id)
  }
  grid.onkeydown = (event) => {
    const tile = event.target.closest(".tile")
    if (!tile || event.ctrlKey || event.metaKey || event.altKey) return
    const all = opens()
    const here = all.indexOf(tile.querySelector(".open"))
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columnsOf(grid), ArrowDown: columnsOf(grid) }
    let target = null
    if (event.key in steps) target = all[here + steps[event.key]]
    else if (event.key === "Home") target = all[0]
    else if (event.key === "End") target = all[all.length - 1]
    else if (event.key === ".") toggleStar(tile)
    else if (event.key === "Delete") send("delete", tile.dataset.id)
    else if (event.key === "d" || event.key === "D") tile.querySelector("a").click()
    else return
    event.preventDefault()
    event.stopPropagation()
    if (target) {
      all.forEach((open) => (open.tabIndex = -1))
      target.tabIndex = 0
      target.focus()
    }
  }
}
