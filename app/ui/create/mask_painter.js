// The fitted source picture with a mask painted on it by mouse, finger, pen, or keys. The picture is
// only shown; the browser sends only the mask: a PNG, white where the picture is redrawn.
const LONGEST_PX = [512, 1024]
const RADIUS = { least: 1, most: 25, first: 6 } // in per cent of the longer side
const MOST_STEPS = 60
// The buttons of a pointer that paint: a mouse's first, a finger, a pen's tip, and its other end.
const PEN_ERASER = 5
const PAINTING = new Set([0, PEN_ERASER])
// Stripes in two colors, so that one of them is visible on any picture.
const TINT = ["#ec0c7a", "#ffd9ec"]
const STRIPES = 40
const ICONS = {
  brush: "M7 21q-1.100 0-2.200-.5T3 19q.7 0 1.300-.5T5 17q0-1.300.9-2.100T8 14t2.100.9T11 17q0 1.700-1.200 2.800T7 21zm5.800-6L9 11.200 18 2.300q.3-.3.7-.3t.7.3l2.300 2.300q.3.3.3.7t-.3.7z",
  eraser: "M8.200 20q-.4 0-.8-.1t-.7-.5l-3.700-3.700q-.6-.6-.6-1.400t.6-1.400L13.500 2.600q.6-.6 1.400-.6t1.400.6l5 5q.6.6.6 1.400t-.6 1.400L13 18.300h8V20zm.2-2h2.100l3.500-3.600-5-5-4.800 4.900z",
  undo: "M7 19v-2h7.100q1.600 0 2.700-1t1.200-2.500-1.200-2.500-2.700-1H7.800l2.600 2.600L9 14 4 9l5-5 1.400 1.400L7.800 8h6.300q2.400 0 4.200 1.600T20 13.500t-1.700 3.900-4.200 1.600z",
  clear: "M6.400 19 5 17.600l5.600-5.600L5 6.400 6.400 5l5.600 5.600L17.600 5 19 6.400 13.400 12l5.600 5.600-1.400 1.400-5.600-5.600z",
  invert: "M12 22q-2.100 0-3.900-.8t-3.200-2.100-2.100-3.200T2 12t.8-3.900 2.100-3.200 3.200-2.100T12 2t3.900.8 3.200 2.100 2.100 3.200.8 3.900-.8 3.900-2.100 3.200-3.200 2.100T12 22zm1-2.100q3-.4 5-2.600T20 12t-2-5.300-5-2.600z",
}
const tools = () => [
  ["brush", say("Brush"), say("Brush (B)")],
  ["eraser", say("Eraser"), say("Eraser (E)")],
  ["undo", say("Undo"), say("Undo (Ctrl+Z)")],
  ["clear", say("Clear"), say("Clear (Delete)")],
  ["invert", say("Invert"), say("Invert (I)")],
]

const clamp = (value, low, high) => Math.min(Math.max(value, low), high)

// The canvas and what was done on it. A step is {kind: "stroke", erase, radius, points} or {kind: "clear" | "invert"}; those
// that can no longer be undone are in `base`.
function makeMask(width, height) {
  const longest = Math.max(width, height)
  const scale = clamp(longest, ...LONGEST_PX) / longest
  const canvas = make("canvas", "mask", {
    tabindex: "0",
    role: "application",
    "aria-roledescription": say("mask painter"),
    "aria-label": say(
      "Paint over the part to redraw. Arrow keys move the brush, Space paints, [ and ] change its size, " +
        "B brush, E eraser, I invert, Ctrl+Z undo, Delete clear.",
    ),
  })
  canvas.width = Math.max(1, Math.round(width * scale))
  canvas.height = Math.max(1, Math.round(height * scale))
  const base = make("canvas", "")
  base.width = canvas.width
  base.height = canvas.height
  return { canvas, context: canvas.getContext("2d", { willReadFrequently: true }), base, steps: [] }
}

const patterns = new WeakMap()

function striped(context) {
  if (patterns.has(context)) return patterns.get(context)
  const side = Math.max(4, Math.round(Math.max(context.canvas.width, context.canvas.height) / STRIPES))
  const tile = make("canvas", "")
  tile.width = tile.height = side
  const paint = tile.getContext("2d")
  paint.fillStyle = TINT[0]
  paint.fillRect(0, 0, side, side)
  paint.strokeStyle = TINT[1]
  paint.lineWidth = side / 5
  for (const shift of [-side, 0, side]) {
    paint.moveTo(shift - side, 2 * side)
    paint.lineTo(shift + 2 * side, -side)
  }
  paint.stroke()
  patterns.set(context, context.createPattern(tile, "repeat"))
  return patterns.get(context)
}

function drawStep(context, step) {
  const { width, height } = context.canvas
  if (step.kind === "clear") context.clearRect(0, 0, width, height)
  else if (step.kind === "invert") {
    context.globalCompositeOperation = "source-out"
    context.fillStyle = striped(context)
    context.fillRect(0, 0, width, height)
  } else drawStroke(context, step, 0)
  context.globalCompositeOperation = "source-over"
}

function drawStroke(context, step, from) {
  context.globalCompositeOperation = step.erase ? "destination-out" : "source-over"
  context.strokeStyle = context.fillStyle = striped(context)
  context.lineCap = context.lineJoin = "round"
  context.lineWidth = 2 * step.radius
  const points = step.points.slice(Math.max(0, from - 1))
  context.beginPath()
  if (points.length === 1) {
    context.arc(points[0][0], points[0][1], step.radius, 0, 2 * Math.PI)
    context.fill()
  } else {
    context.moveTo(...points[0])
    for (const point of points.slice(1)) context.lineTo(...point)
    context.stroke()
  }
  context.globalCompositeOperation = "source-over"
}

function redraw(mask) {
  mask.context.clearRect(0, 0, mask.canvas.width, mask.canvas.height)
  mask.context.drawImage(mask.base, 0, 0)
  for (const step of mask.steps) drawStep(mask.context, step)
}

function addStep(mask, step) {
  mask.steps.push(step)
  if (mask.steps.length > MOST_STEPS) drawStep(mask.base.getContext("2d"), mask.steps.shift())
}

function isEmpty(mask) {
  const { data } = mask.context.getImageData(0, 0, mask.canvas.width, mask.canvas.height)
  for (let at = 3; at < data.length; at += 4) if (data[at] >= 128) return false
  return true
}

// White on black, as the model expects it; "" if nothing is painted.
function exported(mask) {
  if (isEmpty(mask)) return ""
  const out = make("canvas", "")
  out.width = mask.canvas.width
  out.height = mask.canvas.height
  const context = out.getContext("2d")
  context.drawImage(mask.canvas, 0, 0)
  for (const [mode, color] of [["source-in", "#fff"], ["destination-over", "#000"]]) {
    context.globalCompositeOperation = mode
    context.fillStyle = color
    context.fillRect(0, 0, out.width, out.height)
  }
  return out.toDataURL("image/png")
}

// A stored mask becomes the base, which cannot be undone.
async function load(mask, url) {
  const image = new Image()
  image.src = url
  await image.decode()
  const context = mask.base.getContext("2d", { willReadFrequently: true })
  const { width, height } = mask.base
  context.drawImage(image, 0, 0, width, height)
  const pixels = context.getImageData(0, 0, width, height)
  for (let at = 0; at < pixels.data.length; at += 4) pixels.data[at + 3] = pixels.data[at]
  context.clearRect(0, 0, width, height)
  context.putImageData(pixels, 0, 0)
  context.globalCompositeOperation = "source-in"
  context.fillStyle = striped(context)
  context.fillRect(0, 0, width, height)
  context.globalCompositeOperation = "source-over"
  redraw(mask)
}

function makeView(parent, data) {
  const root = make("div", "painter")
  const stage = make("div", "stage")
  const sheet = make("div", "sheet")
  const image = make("img", "picture", { alt: data.alt, draggable: "false" })
  const mask = makeMask(data.width, data.height)
  const tint = make("div", "tint")
  const frame = make("div", "frame", { "aria-hidden": "true" })
  const cursor = make("div", "cursor", { "aria-hidden": "true" })
  const broken = make("p", "broken")
  broken.hidden = true
  broken.textContent = say("The link has expired. Reload the page.")
  image.addEventListener("error", () => (broken.hidden = false))
  image.addEventListener("load", () => (broken.hidden = true))
  tint.append(mask.canvas)
  sheet.append(image, tint, frame, cursor, broken)
  stage.append(sheet)
  const bar = make("div", "bar", { role: "toolbar", "aria-label": say("Mask") })
  const buttons = {}
  for (const [name, words, label] of tools()) {
    const button = make("button", "tool", { type: "button", title: label, "aria-label": label })
    const text = make("span", "words")
    text.textContent = words
    button.append(icon(name), text)
    button.dataset.tool = name
    buttons[name] = button
    bar.append(button)
  }
  const sizer = make("label", "sizer", { title: say("Brush size ([ and ])") })
  const size = make("input", "size", { type: "range", min: RADIUS.least, max: RADIUS.most, step: 0.5 })
  size.value = RADIUS.first
  size.setAttribute("aria-label", say("Brush size"))
  sizer.append(make("span", "dot small"), size, make("span", "dot large"))
  bar.append(sizer)
  const live = make("div", "live", { "aria-live": "polite" })
  root.append(stage, bar, live)
  parent.append(root)
  return { root, stage, sheet, image, tint, frame, cursor, bar, buttons, size, live, mask, words: JSON.stringify(data.words), erase: false, at: null, token: null, stroke: null }
}

// The stage has the output's shape when bars are added, and the picture's own shape when it is cropped.
function layOut(view, data) {
  const own = data.width / data.height
  const wanted = data.wanted.width / data.wanted.height
  const padded = data.fit === "pad"
  const shape = padded ? wanted : own
  view.stage.style.aspectRatio = String(shape)
  view.stage.style.width = `min(100%, calc(min(58vh, 520px) * ${shape}))`
  view.sheet.style.width = padded && own < wanted ? `${(100 * own) / wanted}%` : "100%"
  view.sheet.style.aspectRatio = String(own)
  const across = padded || own <= wanted ? 0 : (1 - wanted / own) / 2
  const down = padded || own >= wanted ? 0 : (1 - own / wanted) / 2
  view.frame.style.inset = `${100 * down}% ${100 * across}%`
  view.frame.hidden = across + down < 0.002
}

const views = new WeakMap()

export default function (component) {
  const { data, parentElement, setStateValue } = component
  speak(data.words)
  let view = views.get(parentElement)
  // A change of language rebuilds the painter; the mask is restored from the last one sent.
  if (!view || !parentElement.contains(view.root) || view.words !== JSON.stringify(data.words)) {
    view?.root.remove()
    view = makeView(parentElement, data)
    views.set(parentElement, view)
  }
  const { mask, cursor } = view
  const { canvas } = mask
  if (view.image.getAttribute("src") !== data.src) view.image.src = data.src
  layOut(view, data)
  view.root.classList.toggle("painting", data.paint)
  view.tint.inert = !data.paint
  // A mask from the server: from a file, or painted before a reload. What is painted here is not
  // sent back, and a late response never replaces a newer stroke.
  if (view.token !== data.token) {
    view.token = data.token
    mask.steps = []
    mask.base.getContext("2d").clearRect(0, 0, canvas.width, canvas.height)
    if (data.mask) load(mask, data.mask)
    else redraw(mask)
  }

  const radius = () => (Math.max(canvas.width, canvas.height) * Number(view.size.value)) / 100
  const tell = (words) => (view.live.textContent = words)
  const send = () => {
    view.buttons.undo.disabled = mask.steps.length === 0
    setStateValue("mask", { token: view.token, png: exported(mask) })
  }
  const showTool = () => {
    view.buttons.brush.setAttribute("aria-pressed", String(!view.erase))
    view.buttons.eraser.setAttribute("aria-pressed", String(view.erase))
    view.buttons.undo.disabled = mask.steps.length === 0
    cursor.classList.toggle("erases", view.erase)
  }
  const showCursor = () => {
    cursor.hidden = !view.at || !data.paint
    if (cursor.hidden) return
    const share = (2 * radius()) / canvas.width
    cursor.style.width = `${100 * share}%`
    cursor.style.left = `${(100 * view.at[0]) / canvas.width}%`
    cursor.style.top = `${(100 * view.at[1]) / canvas.height}%`
  }
  const act = (tool) => {
    if (tool === "brush" || tool === "eraser") {
      view.erase = tool === "eraser"
      tell(view.erase ? say("Eraser") : say("Brush"))
    } else if (tool === "undo") {
      if (!mask.steps.pop()) return
      redraw(mask)
      tell(say("Undone"))
      send()
    } else {
      addStep(mask, { kind: tool })
      redraw(mask)
      tell(tool === "clear" ? say("Cleared") : say("Inverted"))
      send()
    }
    showTool()
  }
  const resize = (by) => {
    view.size.value = clamp(Number(view.size.value) + by, RADIUS.least, RADIUS.most)
    tell(say("Brush size {size}", { size: view.size.value }))
    showCursor()
  }
  showTool()
  showCursor()

  const point = (event) => {
    const box = canvas.getBoundingClientRect()
    return [
      ((event.clientX - box.left) * canvas.width) / box.width,
      ((event.clientY - box.top) * canvas.height) / box.height,
    ]
  }
  // Kept in the view, not in this run: a server response during a stroke runs this function again.
  canvas.onpointerdown = (event) => {
    if (!data.paint || !event.isPrimary || !PAINTING.has(event.button)) return
    event.preventDefault()
    canvas.focus({ preventScroll: true })
    canvas.setPointerCapture(event.pointerId)
    view.at = point(event)
    // The other end of a pen erases.
    const erase = view.erase || event.button === PEN_ERASER
    view.stroke = { kind: "stroke", erase, radius: radius(), points: [view.at] }
    drawStroke(mask.context, view.stroke, 0)
    showCursor()
  }
  canvas.onpointermove = (event) => {
    // A second finger or a palm neither draws nor moves the brush.
    if (!event.isPrimary) return
    view.at = point(event)
    showCursor()
    const { stroke } = view
    if (!stroke) return
    const from = stroke.points.length
    const passed = event.getCoalescedEvents?.() ?? []
    stroke.points.push(...(passed.length ? passed : [event]).map(point))
    drawStroke(mask.context, stroke, from)
  }
  const finish = (event) => {
    if (!view.stroke || !event.isPrimary) return
    addStep(mask, view.stroke)
    view.stroke = null
    send()
    showTool()
  }
  canvas.onpointerup = finish
  canvas.onpointercancel = finish
  canvas.onpointerleave = () => {
    if (view.stroke) return
    view.at = null
    showCursor()
  }
  canvas.onblur = () => {
    view.at = null
    showCursor()
  }
  canvas.onkeydown = (event) => {
    if (!data.paint) return
    const command = event.ctrlKey || event.metaKey
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key
    const step = Math.max(canvas.width, canvas.height) / 50
    const ways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }
    const chosen = { b: "brush", e: "eraser", i: "invert", Delete: "clear" }
    if (command && key === "z") act("undo")
    else if (command || event.altKey) return
    else if (key === "[" || key === "]") resize(key === "[" ? -1 : 1)
    else if (chosen[key]) act(chosen[key])
    else if (ways[key] || key === " ") {
      const before = view.at ?? [canvas.width / 2, canvas.height / 2]
      const [across, down] = ways[key] ?? [0, 0]
      view.at = [clamp(before[0] + across, 0, canvas.width), clamp(before[1] + down, 0, canvas.height)]
      // Space paints a dot, Shift with an arrow key a line.
      if (key === " " || event.shiftKey) {
        const points = key === " " ? [view.at] : [before, view.at]
        addStep(mask, { kind: "stroke", erase: view.erase, radius: radius(), points })
        redraw(mask)
        tell(view.erase ? say("Erased") : say("Painted"))
        send()
        showTool()
      }
      showCursor()
    } else return
    event.preventDefault()
    event.stopPropagation()
  }
  view.bar.onclick = (event) => {
    const tool = event.target.closest("[data-tool]")?.dataset.tool
    if (tool) act(tool)
  }
  view.size.oninput = () => {
    view.at ??= [canvas.width / 2, canvas.height / 2]
    showCursor()
  }
  view.size.onchange = () => {
    view.at = null
    showCursor()
  }
  // Streamlit's keyboard shortcuts are for the page.
  view.bar.onkeydown = (event) => event.stopPropagation()
}
