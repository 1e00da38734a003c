// A lazily loading picture grid with multiple selection. Texts arrive as data and are only set as
// attributes or text nodes.
const ICONS = {
  star: "M12 17.3 6.2 20.800 7.700 14.200 2.600 9.800l6.700-.6L12 3l2.700 6.200 6.700.6-5.100 4.400 1.500 6.600z",
  hollow:
    "m8.900 16.800 3.100-1.900 3.100 1.900-.8-3.500 2.700-2.400-3.600-.3L12 7.300l-1.400 3.300-3.600.3 2.700 2.400zM5.800 21l1.600-7.100L2 9.200l7.200-.6L12 2l2.800 6.600 7.200.6-5.400 4.700L18.200 21 12 17.200z",
  download: "M12 16 7 11l1.400-1.400 2.600 2.600V4h2v8.200l2.600-2.600L17 11zM5 20v-5h2v3h10v-3h2v5z",
  check: "M9.500 18 4 12.500l1.400-1.400 4.100 4.100L18.600 6 20 7.400z",
  close: "M6.400 19 5 17.600l5.600-5.600L5 6.400 6.400 5l5.600 5.600L17.600 5 19 6.400 13.400 12l5.600 5.600-1.400 1.400-5.600-5.600z",
  label: "m12.700 21.300 8-8q.3-.3.3-.7V4.500q0-.8-.6-1.400T19 2.500h-8.100q-.4 0-.7.3l-8 8q-.6.6-.6 1.400t.6 1.400l7.700 7.700q.6.6 1.400.6t1.400-.6zM16.500 8.500q-.6 0-1.100-.4T15 7t.4-1.100 1.100-.4 1.100.4.4 1.100-.4 1.100-1.100.4z",
  album: "M5 21q-.8 0-1.400-.6T3 19V5q0-.8.6-1.400T5 3h14q.8 0 1.400.6T21 5v14q0 .8-.6 1.400T19 21zm0-2h14V5h-2v7l-2.500-1.500L12 12V5H5z",
  zip: "M5 20q-.8 0-1.400-.6T3 18V6.500q0-.4.100-.7t.4-.6l1.200-1.500q.2-.3.600-.5T6 3h12q.4 0 .8.2t.6.5l1.200 1.500q.2.3.300.600t.1.700V18q0 .8-.6 1.400T19 20zM5.400 6h13.200l-.800-1H6.200zM12 17l4-4-1.400-1.400-1.600 1.600V9h-2v4.200l-1.600-1.600L8 13z",
  restore: "M12 21q-3.400 0-6-2.200T3.100 13h2q.4 2.600 2.400 4.300T12 19q2.900 0 5-2.100t2-4.900-2-4.900T12 5q-1.700 0-3.200.8T6.300 8H9v2H3V4h2v2.400q1.300-1.600 3.100-2.500T12 3q1.900 0 3.500.7t2.900 1.900 1.900 2.900.7 3.500-.7 3.500-1.900 2.900-2.900 1.900-3.500.7z",
  compare: "M10 23v-2H5q-.8 0-1.400-.6T3 19V5q0-.8.6-1.400T5 3h5V1h2v22zM5 18h5v-6zm9 3v-9l5 6V5h-5V3h5q.8 0 1.400.6T21 5v14q0 .8-.6 1.400T19 21z",
  trash: "M7 21q-.8 0-1.400-.6T5 19V6H4V4h5V3h6v1h5v2h-1v13q0 .8-.6 1.400T17 21zM17 6H7v13h10zM9 17h2V8H9zm4 0h2V8h-2z",
}

const HOLD_MS = 450
const HOLD_PX = 10

function control(tag, label, name) {
  const element = make(tag, "act", { title: label, "aria-label": label })
  element.tabIndex = -1
  element.append(icon(name))
  return element
}

function makeTile(item, data) {
  const tile = make("div", "tile")
  tile.dataset.id = item.id
  const open = make("button", "open", { type: "button" })
  open.tabIndex = -1
  const image = document.createElement("img")
  image.loading = "lazy"
  image.decoding = "async"
  image.addEventListener("error", () => {
    if (tile.querySelector(".broken")) return
    const note = make("span", "broken")
    note.textContent = say("The link has expired. Reload the page.")
    image.hidden = true
    tile.append(note)
  })
  image.addEventListener("load", () => {
    image.hidden = false
    tile.querySelector(".broken")?.remove()
  })
  open.append(image)
  const bar = make("div", "bar")
  bar.append(make("span", "note"))
  const acts = data.trash
    ? [["button", say("Restore"), "restore", "restore"], ["button", say("Delete permanently (Del)"), "trash", "erase"]]
    : [["a", say("Download (D)"), "download", "download"], ["button", say("Delete (Del)"), "trash", "trash"]]
  for (const [tag, label, name, act] of acts) {
    const element = control(tag, label, name)
    element.dataset.act = act
    bar.append(element)
  }
  tile.append(open, bar)
  if (!data.trash) tile.append(Object.assign(control("button", "", "hollow"), { className: "act star" }))
  if (data.select) {
    const mark = control("button", say("Select (Space)"), "check")
    mark.classList.add("mark")
    mark.setAttribute("role", "checkbox")
    tile.setAttribute("role", "gridcell")
    tile.append(mark)
  }
  return tile
}

function fillTile(tile, item) {
  tile.style.setProperty("--ratio", `${item.width} / ${item.height}`)
  if (item.color) tile.style.setProperty("--color", item.color)
  const open = tile.querySelector(".open")
  const image = tile.querySelector("img")
  image.alt = item.text
  if (image.getAttribute("src") !== item.src) image.src = item.src
  const download = tile.querySelector("a")
  if (download) download.href = item.download
  tile.dataset.text = item.text
  tile.dataset.left = item.left ?? ""
  showRating(tile, item.rating)
  const rated = item.rating ? say("rated {rating} of 5", { rating: item.rating }) : ""
  open.setAttribute("aria-label", [say("Open: {text}", { text: item.text }), item.left, rated].filter(Boolean).join(", "))
  showStar(tile, item.favorite)
}

function showRating(tile, rating) {
  const note = tile.querySelector(".note")
  note.textContent = tile.dataset.left || "★".repeat(rating)
  note.classList.toggle("rated", !tile.dataset.left && rating > 0)
  tile.dataset.rating = rating
}

function showStar(tile, favorite) {
  const star = tile.querySelector(".star")
  if (!star || star.getAttribute("aria-pressed") === String(favorite)) return
  star.setAttribute("aria-pressed", String(favorite))
  star.title = favorite ? say("Remove the star (.)") : say("Star (.)")
  star.setAttribute("aria-label", star.title)
  star.replaceChildren(icon(favorite ? "star" : "hollow"))
}

function isStarred(tile) {
  return tile.querySelector(".star")?.getAttribute("aria-pressed") === "true"
}

function columnsOf(grid) {
  return getComputedStyle(grid).gridTemplateColumns.split(" ").length
}

// A label that is hidden on phones.
function word(text) {
  const words = make("span", "words")
  words.textContent = text
  return words
}

// The frame around the tiles, the selection bar, and the live region for screen readers.
function makeView(parent, data) {
  const frame = make("div", "frame")
  const grid = make("div", "grid")
  frame.append(grid)
  const view = { frame, grid, chosen: new Set(), anchor: null, touched: false }
  parent.append(frame)
  if (data.select) {
    frame.setAttribute("role", "grid")
    frame.setAttribute("aria-multiselectable", "true")
    grid.setAttribute("role", "row")
    view.dock = make("div", "dock", { role: "toolbar", "aria-label": say("What is selected") })
    view.count = make("span", "count")
    view.dock.append(view.count)
    const acts = data.trash
      ? [[say("Restore"), "restore", "restore"], [say("Delete permanently"), "trash", "erase"]]
      : [
          [say("Star"), "star", "star"],
          [say("Unstar"), "hollow", "unstar"],
          [say("Rate and tag"), "label", "label"],
          [say("Album"), "album", "album"],
          [say("ZIP"), "zip", "zip"],
          [say("Compare"), "compare", "compare"],
          [say("Delete"), "trash", "trash"],
        ]
    for (const [label, name, act] of [...acts, [say("Clear"), "close", "clear"]]) {
      const button = make("button", "do", { type: "button", title: label, "aria-label": label })
      button.dataset.act = act
      button.append(icon(name), word(label))
      view.dock.append(button)
    }
    view.live = make("div", "live", { "aria-live": "polite" })
    parent.append(view.dock, view.live)
    new ResizeObserver(() => placeDock(view)).observe(frame)
  } else {
    grid.setAttribute("role", "group")
  }
  return view
}

// Centered in the window next to the sidebar; without labels if they are too long.
function placeDock({ frame, dock }) {
  const room = frame.getBoundingClientRect()
  dock.classList.remove("tight")
  dock.classList.toggle("tight", dock.offsetWidth > room.width)
  const half = dock.offsetWidth / 2
  dock.style.left = `${Math.min(Math.max(innerWidth / 2, room.left + half), innerWidth - half - 12)}px`
}

// The dialog that a tile opens cannot restore the focus, because it cannot see into this component.
function takeFocusBack(open) {
  let seen = false
  const watch = new MutationObserver(() => {
    if (document.querySelector("[data-testid=stDialog]")) seen = true
    else if (seen) {
      watch.disconnect()
      setTimeout(() => document.activeElement === document.body && open.isConnected && open.focus(), 50)
    }
  })
  watch.observe(document.body, { childList: true, subtree: true })
}

const views = new WeakMap()

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  speak(data.words)
  let view = views.get(parentElement)
  if (!view || !parentElement.contains(view.frame) || view.spoken !== spoken()) {
    for (const part of [view?.frame, view?.dock, view?.live]) part?.remove()
    view = makeView(parentElement, data)
    view.spoken = spoken()
    views.set(parentElement, view)
  }
  const { grid, chosen } = view
  grid.dataset.look = data.look
  grid.dataset.plain = data.plain === true
  grid.dataset.count = data.items.length
  ;(data.select ? view.frame : grid).setAttribute("aria-label", data.label)

  // Nodes are reused by id, so that a rerun neither reloads a picture nor loses the focus.
  const focused = grid.getRootNode().activeElement?.closest?.(".tile, .dock")
  const place = [...grid.children].indexOf(focused)
  const known = new Map([...grid.children].map((tile) => [tile.dataset.id, tile]))
  const tiles = data.items.map((item) => {
    const tile = known.get(item.id) ?? makeTile(item, data)
    known.delete(item.id)
    fillTile(tile, item)
    return tile
  })
  const lostFocus = focused && (known.has(focused.dataset.id) || (focused === view.dock && known.size > 0))
  for (const gone of known.values()) {
    chosen.delete(gone.dataset.id)
    gone.remove()
  }
  tiles.forEach((tile, index) => {
    if (grid.children[index] !== tile) grid.insertBefore(tile, grid.children[index] ?? null)
  })
  const opens = () => [...grid.querySelectorAll(".open")]
  const focusOn = (open) => {
    opens().forEach((other) => (other.tabIndex = -1))
    open.tabIndex = 0
    open.focus()
  }
  if (!opens().some((open) => open.tabIndex === 0)) opens()[0]?.setAttribute("tabindex", "0")
  // The focused picture was deleted, so its neighbor gets the focus.
  if (lostFocus) {
    const next = opens()[Math.min(Math.max(place, 0), opens().length - 1)]
    if (next) focusOn(next)
  }

  const send = (kind, ids, extra = {}) => setTriggerValue("act", { kind, ids, ...extra })
  const tilesOf = (ids) => [...grid.children].filter((tile) => ids.includes(tile.dataset.id))
  // A key on a selected picture applies to all selected ones; on another picture, only to that one.
  const meant = (tile) => (chosen.has(tile.dataset.id) ? inOrder() : [tile.dataset.id])
  const inOrder = () => [...grid.children].map((tile) => tile.dataset.id).filter((id) => chosen.has(id))
  const star = (ids, favorite) => {
    tilesOf(ids).forEach((tile) => showStar(tile, favorite))
    send("star", ids, { favorite })
  }
  const rate = (ids, rating) => {
    tilesOf(ids).forEach((tile) => showRating(tile, rating))
    send("rate", ids, { rating })
  }

  const showChosen = () => {
    if (!data.select) return
    for (const tile of grid.children) {
      const on = chosen.has(tile.dataset.id)
      tile.setAttribute("aria-selected", String(on))
      tile.querySelector(".mark").setAttribute("aria-checked", String(on))
    }
    const count = String(chosen.size)
    const words = chosen.size ? say("{count} selected", { count }) : ""
    if (view.live.textContent !== words) view.live.textContent = words
    if (words) {
      const [before, after] = say("{count} selected").split("{count}")
      view.count.replaceChildren(word(before), count, word(after))
    }
    view.dock.classList.toggle("shown", chosen.size > 0)
    view.dock.classList.toggle("lifted", data.lifted === true)
    view.dock.inert = chosen.size === 0
    view.dock.querySelector("[data-act=compare]")?.toggleAttribute("hidden", chosen.size !== 2)
    placeDock(view)
    grid.classList.toggle("choosing", chosen.size > 0)
  }
  const toggle = (tile) => {
    if (!chosen.delete(tile.dataset.id)) chosen.add(tile.dataset.id)
    view.anchor = tile.dataset.id
    showChosen()
  }
  const addRange = (tile) => {
    const ids = [...grid.children].map((other) => other.dataset.id)
    const to = ids.indexOf(tile.dataset.id)
    const from = ids.includes(view.anchor) ? ids.indexOf(view.anchor) : to
    for (const id of ids.slice(Math.min(from, to), Math.max(from, to) + 1)) chosen.add(id)
    showChosen()
  }
  const clear = () => {
    chosen.clear()
    showChosen()
  }
  showChosen()

  grid.onclick = (event) => {
    const tile = event.target.closest(".tile")
    if (!tile || grid.classList.contains("held")) return
    const act = event.target.closest("[data-act]")?.dataset.act
    if (event.target.closest(".mark")) event.shiftKey ? addRange(tile) : toggle(tile)
    else if (event.target.closest(".star")) star([tile.dataset.id], !isStarred(tile))
    else if (act && act !== "download") send(act, [tile.dataset.id])
    else if (!event.target.closest(".open")) return
    else if (data.select && event.shiftKey) addRange(tile)
    else if (data.select && (event.ctrlKey || event.metaKey || (view.touched && chosen.size))) toggle(tile)
    else {
      takeFocusBack(tile.querySelector(".open"))
      send("open", [tile.dataset.id])
    }
  }
  grid.onkeydown = (event) => {
    const tile = event.target.closest(".tile")
    if (!tile || event.altKey) return
    const all = opens()
    const here = all.indexOf(tile.querySelector(".open"))
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columnsOf(grid), ArrowDown: columnsOf(grid) }
    let target = null
    if (event.ctrlKey || event.metaKey) {
      if (!data.select || event.key.toLowerCase() !== "a") return
      for (const other of grid.children) chosen.add(other.dataset.id)
      showChosen()
    } else if (event.key in steps) target = all[here + steps[event.key]]
    else if (event.key === "Home") target = all[0]
    else if (event.key === "End") target = all[all.length - 1]
    else if (event.key === "Escape" && chosen.size) clear()
    else if (event.key === " " && data.select) event.shiftKey ? addRange(tile) : toggle(tile)
    else if (event.key === "Delete") send(data.trash ? "erase" : "trash", meant(tile))
    else if (data.trash) return
    else if (event.key === ".") star(meant(tile), !isStarred(tile))
    else if (/^[0-5]$/.test(event.key)) rate(meant(tile), Number(event.key))
    else if (event.key === "d" || event.key === "D") tile.querySelector("a").click()
    else return
    event.preventDefault()
    event.stopPropagation()
    if (!target) return
    if (event.shiftKey && data.select) {
      if (!chosen.size) view.anchor = tile.dataset.id
      addRange(target.closest(".tile"))
    }
    focusOn(target)
  }
  if (!data.select) return

  // A button is clicked when Space is released; here, Space has already been handled.
  grid.onkeyup = (event) => {
    if (event.key === " ") event.preventDefault()
  }
  grid.onpointerdown = (event) => {
    view.touched = event.pointerType === "touch"
    clearTimeout(view.timer)
    const tile = event.target.closest(".tile")
    if (!view.touched || !tile) return
    view.start = [event.clientX, event.clientY]
    view.timer = setTimeout(() => {
      grid.classList.add("held")
      toggle(tile)
    }, HOLD_MS)
  }
  grid.onpointermove = (event) => {
    if (view.start && Math.hypot(event.clientX - view.start[0], event.clientY - view.start[1]) > HOLD_PX)
      clearTimeout(view.timer)
  }
  grid.onpointerup = grid.onpointercancel = () => {
    clearTimeout(view.timer)
    // The click that ends a long press comes right after it, if at all.
    if (grid.classList.contains("held")) setTimeout(() => grid.classList.remove("held"), 60)
  }
  grid.oncontextmenu = (event) => {
    if (view.touched) event.preventDefault()
  }
  view.dock.onclick = (event) => {
    const act = event.target.closest("[data-act]")?.dataset.act
    if (!act) return
    const ids = inOrder()
    if (act === "clear") {
      clear()
      const back = opens().find((open) => open.tabIndex === 0)
      back?.focus()
    } else if (act === "star" || act === "unstar") star(ids, act === "star")
    else send(act, ids)
  }
  view.dock.onkeydown = (event) => {
    if (event.key !== "Escape") return
    event.stopPropagation()
    view.dock.querySelector("[data-act=clear]").click()
  }
}
