// Albums as covers with names. Texts arrive as data and are only set as attributes or text nodes.
export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  speak(data.words)
  let shelf = parentElement.querySelector(".shelf")
  if (!shelf) {
    shelf = document.createElement("div")
    shelf.className = "shelf"
    shelf.setAttribute("role", "list")
    parentElement.append(shelf)
  }
  shelf.setAttribute("aria-label", say("Albums"))
  const known = new Map([...shelf.children].map((album) => [album.dataset.id, album]))
  data.items.forEach((item, index) => {
    const album = known.get(item.id) ?? makeAlbum(item.id)
    known.delete(item.id)
    fill(album, item)
    album.querySelector("button").onclick = () => setTriggerValue("open", item.id)
    if (shelf.children[index] !== album) shelf.insertBefore(album, shelf.children[index] ?? null)
  })
  for (const gone of known.values()) gone.remove()
}

function part(tag, className) {
  const element = document.createElement(tag)
  element.className = className
  return element
}

function makeAlbum(id) {
  const album = part("div", "album")
  album.dataset.id = id
  album.setAttribute("role", "listitem")
  const open = part("button", "open")
  open.type = "button"
  const cover = part("span", "cover")
  const picture = part("img", "")
  picture.loading = "lazy"
  picture.alt = ""
  cover.append(picture)
  open.append(cover, part("span", "name"), part("span", "count"))
  album.append(open)
  return album
}

function fill(album, item) {
  album.querySelector(".name").textContent = item.name
  album.querySelector(".count").textContent = item.count
  album.querySelector("button").setAttribute("aria-label", say("Open the album {name}, {count}", item))
  const cover = album.querySelector(".cover")
  if (item.color) cover.style.setProperty("--color", item.color)
  const picture = album.querySelector("img")
  picture.hidden = !item.src
  if (item.src && picture.getAttribute("src") !== item.src) picture.src = item.src
}
