// One zoomable picture: wheel, pinch, double click, and keys zoom; drag and arrows move it.
const MOST_SCALE = 12
const STEP = 1.25
const SWIPE_PX = 60
const PAN_PX = 60
const OPENING_MS = 2000

const keysInWords = () => [
  ["← →", say("previous, next picture; moves it while it is enlarged")],
  [say("Page Up, Page Down"), say("previous, next picture at any time")],
  ["+ −", say("larger, smaller")],
  ["0", say("fits the picture; when it fits, takes the rating away")],
  ["F", say("full screen")],
  [say(". or S"), say("star")],
  [say("1 to 5"), say("rate")],
  [say("Del"), say("into the trash")],
  ["?", say("these keys")],
  [say("Esc"), say("closes")],
]

function makeStage(parent) {
  const image = make("img", "picture", { draggable: "false" })
  const back = iconButton("nav back", say("Previous picture (←)"), "back")
  const forth = iconButton("nav forth", say("Next picture (→)"), "forth")
  const smaller = iconButton("tool", say("Smaller (−)"), "minus")
  const larger = iconButton("tool", say("Larger (+)"), "plus")
  const level = make("button", "tool level", { type: "button", title: say("Fit (0)") })
  const full = iconButton("tool", say("Full screen (F)"), "fit")
  const help = iconButton("tool keys", say("Keys (?)"), "help")
  const tools = make("div", "tools", { role: "toolbar", "aria-label": say("Zoom") }, smaller, level, larger, full, help)
  const place = make("div", "place", { "aria-live": "polite" })
  const list = make("dl", "")
  for (const [keys, words] of keysInWords()) {
    list.append(make("dt", "", {}, keys), make("dd", "", {}, words))
  }
  const shut = iconButton("tool shut", say("Close the list of keys (Esc)"), "close")
  const overlay = make("div", "help", { role: "dialog", "aria-label": say("Keys") }, make("h3", "", {}, say("Keys")), shut, list)
  overlay.hidden = true
  const broken = make("p", "broken", {}, say("The link has expired. Reload the page."))
  broken.hidden = true
  const stage = make("div", "stage", { tabindex: "0", role: "group" }, image, broken, back, forth, tools, place, overlay)
  parent.append(stage)
  return { stage, image, broken, back, forth, smaller, larger, level, full, help, place, overlay, shut, scale: 1, x: 0, y: 0, preloaded: [] }
}

function show(view) {
  const { image, stage, level, scale } = view
  const slack = (side, inner) => Math.max(0, (inner * scale - side) / 2)
  const ratio = view.ratio
  const wide = Math.min(stage.clientWidth, stage.clientHeight * ratio)
  const most = [slack(stage.clientWidth, wide), slack(stage.clientHeight, wide / ratio)]
  view.x = Math.max(-most[0], Math.min(most[0], view.x))
  view.y = Math.max(-most[1], Math.min(most[1], view.y))
  image.style.transform = `translate(${view.x}px, ${view.y}px) scale(${scale})`
  // At high zoom, single pixels should stay sharp.
  image.style.imageRendering = scale > 1 && (wide * scale) / (image.naturalWidth || wide) >= 6 ? "pixelated" : "auto"
  stage.classList.toggle("enlarged", scale > 1)
  const words = scale > 1 ? `${Math.round(scale * 100)} %` : say("Fit")
  if (level.textContent !== words) level.textContent = words
  level.setAttribute("aria-label", scale > 1 ? say("Enlarged to {size}, back to fit (0)", { size: words }) : say("Fits (0)"))
  view.smaller.disabled = scale <= 1
  view.larger.disabled = scale >= MOST_SCALE
}

// `at` is the point that does not move, relative to the middle of the stage.
function zoom(view, factor, at = { x: 0, y: 0 }) {
  const before = view.scale
  view.scale = Math.max(1, Math.min(MOST_SCALE, before * factor))
  const grown = view.scale / before
  view.x = at.x - (at.x - view.x) * grown
  view.y = at.y - (at.y - view.y) * grown
  show(view)
}

function fit(view) {
  view.scale = 1
  view.x = view.y = 0
  show(view)
}

function fromMiddle(view, event) {
  const box = view.stage.getBoundingClientRect()
  return { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 }
}

function setHelp(view, open) {
  view.overlay.hidden = !open
  view.help.setAttribute("aria-expanded", String(open))
  ;(open ? view.shut : view.stage).focus({ preventScroll: true })
}

function listenToPointers(view, step) {
  const { stage } = view
  const down = new Map()
  let start = null
  const middle = () => {
    const all = [...down.values()]
    return { clientX: (all[0].clientX + all[1].clientX) / 2, clientY: (all[0].clientY + all[1].clientY) / 2 }
  }
  const apart = () => {
    const all = [...down.values()]
    return Math.hypot(all[0].clientX - all[1].clientX, all[0].clientY - all[1].clientY)
  }
  stage.addEventListener("pointerdown", (event) => {
    if (event.button > 0 || event.target.closest("button, .help")) return
    down.set(event.pointerId, event)
    stage.setPointerCapture(event.pointerId)
    start = { x: event.clientX, y: event.clientY, scale: view.scale, touch: event.pointerType === "touch", one: down.size === 1 }
  })
  stage.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId)
    if (!before) return
    if (down.size === 2) {
      const was = apart()
      down.set(event.pointerId, event)
      if (was > 0) zoom(view, apart() / was, fromMiddle(view, middle()))
      if (start) start.one = false
      return
    }
    down.set(event.pointerId, event)
    if (view.scale > 1) {
      view.x += event.clientX - before.clientX
      view.y += event.clientY - before.clientY
      stage.classList.add("moving")
      show(view)
    }
  })
  const up = (event) => {
    if (!down.delete(event.pointerId)) return
    stage.classList.remove("moving")
    if (event.type === "pointerup" && start?.touch && start.one && start.scale === 1 && view.scale === 1) {
      const [dx, dy] = [event.clientX - start.x, event.clientY - start.y]
      if (Math.abs(dx) > SWIPE_PX && Math.abs(dx) > 2 * Math.abs(dy)) step(dx < 0 ? 1 : -1)
    }
  }
  stage.addEventListener("pointerup", up)
  stage.addEventListener("pointercancel", up)
  stage.addEventListener("dblclick", (event) => {
    if (event.target.closest("button, .help")) return
    if (view.scale > 1) fit(view)
    else zoom(view, 3, fromMiddle(view, event))
  })
  stage.addEventListener(
    "wheel",
    (event) => {
      if (event.target.closest(".help")) return
      event.preventDefault()
      zoom(view, Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 200), fromMiddle(view, event))
    },
    { passive: false },
  )
}

function toggleFull(view) {
  if (document.fullscreenElement) document.exitFullscreen()
  else view.stage.requestFullscreen?.().catch(() => {})
}

// The dialog focuses itself or its first button at some point. While it opens, the picture takes the
// focus back until the first input, but never from a text field.
function giveKeys(stage) {
  const over = new AbortController()
  const take = () => {
    if (!document.activeElement?.closest("input, textarea")) stage.focus({ preventScroll: true })
  }
  const options = { capture: true, signal: over.signal }
  for (const act of ["keydown", "pointerdown"]) window.addEventListener(act, () => over.abort(), options)
  window.addEventListener("focusin", (event) => event.composedPath().includes(stage) || take(), options)
  setTimeout(() => over.abort(), OPENING_MS)
  // Nothing in the dialog can have the focus until it is visible.
  const untilTaken = () => {
    take()
    if (!over.signal.aborted && !stage.matches(":focus-within")) requestAnimationFrame(untilTaken)
  }
  untilTaken()
}

const views = new WeakMap()

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  speak(data.words)
  let view = views.get(parentElement)
  if (!view || !parentElement.contains(view.stage) || view.spoken !== spoken()) {
    view?.stage.remove()
    view = makeStage(parentElement)
    view.spoken = spoken()
    views.set(parentElement, view)
    view.send = () => {}
    view.step = (by) => {
      if (by < 0 ? view.data.before : view.data.after) view.send("step", { by })
    }
    listenToPointers(view, view.step)
    view.back.onclick = () => view.step(-1)
    view.forth.onclick = () => view.step(1)
    view.larger.onclick = () => zoom(view, STEP * STEP)
    view.smaller.onclick = () => zoom(view, 1 / STEP / STEP)
    view.level.onclick = () => fit(view)
    view.full.onclick = () => toggleFull(view)
    view.help.onclick = () => setHelp(view, view.overlay.hidden)
    view.shut.onclick = () => setHelp(view, false)
    view.image.onload = () => {
      view.image.classList.remove("loading")
      view.broken.hidden = true
      show(view)
    }
    view.image.onerror = () => {
      view.broken.hidden = false
    }
    new ResizeObserver(() => show(view)).observe(view.stage)
    giveKeys(view.stage)
  }
  view.data = data
  view.send = (kind, more = {}) => setTriggerValue("act", { kind, ...more })
  view.ratio = data.width / data.height
  view.stage.style.setProperty("--ratio", `${data.width} / ${data.height}`)
  if (view.shown !== data.id) {
    view.shown = data.id
    view.image.classList.add("loading")
    view.image.src = data.src
    view.scale = 1
    view.x = view.y = 0
    view.preloaded = data.preload.map((address) => Object.assign(new Image(), { src: address }))
  }
  view.image.alt = data.alt
  view.stage.setAttribute("aria-label", say("Picture; press ? for its keys"))
  view.back.hidden = view.forth.hidden = !data.before && !data.after
  view.back.disabled = !data.before
  view.forth.disabled = !data.after
  if (view.place.textContent !== data.place) view.place.textContent = data.place
  show(view)

  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTakenBy(event) || !view.stage.isConnected) return
    const enlarged = view.scale > 1
    const pan = { ArrowLeft: [PAN_PX, 0], ArrowRight: [-PAN_PX, 0], ArrowUp: [0, PAN_PX], ArrowDown: [0, -PAN_PX] }[event.key]
    if (event.key === "Escape" && !view.overlay.hidden) setHelp(view, false)
    else if (event.key === "?") setHelp(view, view.overlay.hidden)
    else if (event.key === "PageUp") view.step(-1)
    else if (event.key === "PageDown") view.step(1)
    else if (pan && enlarged) {
      view.x += pan[0]
      view.y += pan[1]
      show(view)
    } else if (event.key === "ArrowLeft") view.step(-1)
    else if (event.key === "ArrowRight") view.step(1)
    else if (event.key === "+" || event.key === "=") zoom(view, STEP)
    else if (event.key === "-") zoom(view, 1 / STEP)
    else if (event.key === "0" && enlarged) fit(view)
    else if (event.key === "f" || event.key === "F") toggleFull(view)
    else if (event.key === ".") view.send("star")
    else return
    event.preventDefault()
    event.stopImmediatePropagation()
  }
  // Runs before Streamlit's shortcuts: an enlarged picture uses the arrows and 0.
  window.addEventListener("keydown", onKey, true)
  return () => window.removeEventListener("keydown", onKey, true)
}
