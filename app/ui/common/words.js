// What a component says: in English here, in the reader's language when `data.words` brings it.
let WORDS = {}

function speak(words) {
  WORDS = words ?? {}
}

// Tells languages apart: what was made while another one was spoken is made anew.
function spoken() {
  return JSON.stringify(WORDS)
}

// Fills in the {names} of a text with `values`.
function say(text, values = {}) {
  return (WORDS[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole)
}
