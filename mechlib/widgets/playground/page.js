// Puts the rooms into a static page: each where an element names it in `data-room`, once that comes near.

const HERE = new URL(".", import.meta.url).href;

function styled(room) {
  return new Promise((resolve) => {
    const link = document.createElement("link");
    Object.assign(link, { rel: "stylesheet", href: `${HERE}${room}.css`, onload: resolve, onerror: resolve });
    document.head.append(link);
  });
}

// What the address asks of a room: `?room=` names it, and whatever else names one of its traits is a value of it.
function asked(room, traits) {
  const query = new URLSearchParams(location.search);
  if (query.get("room") !== room) return {};
  const values = {};
  for (const [name, value] of query) {
    try {
      const taken = typeof traits[name] === "string" ? value : JSON.parse(value);
      const fits = typeof taken === typeof traits[name] && Array.isArray(taken) === Array.isArray(traits[name]);
      if (fits && (name !== "name" || value in traits.models)) values[name] = taken;
    } catch {
      // what is no value leaves the room as it is
    }
  }
  return values;
}

async function furnish(node, rooms) {
  const { room } = node.dataset;
  try {
    const [{ default: widget }, traits] = await Promise.all([import(`${HERE}${room}.js`), rooms(), styled(room)]);
    node.replaceChildren();
    const values = { ...traits.shared, ...traits[room], base: HERE };
    widget.render({ model: kept({ ...values, ...asked(room, values) }), el: node });
  } catch (error) {
    node.textContent = `This room could not be opened: ${error.message}. Pages are to be opened from a server, `
      + "such as “make book” starts.";
  }
}

async function read(file) {
  const answer = await fetch(`${HERE}${file}`);
  if (!answer.ok) throw new Error(`${file} is not there`);
  return answer.json();
}

// A room that the address names stays in view while those above it grow, until the reader moves.
function hold() {
  const wanted = location.hash.startsWith("#room-") && document.getElementById(location.hash.slice(1));
  if (!wanted) return;
  const grown = new ResizeObserver(() => wanted.scrollIntoView({ behavior: "instant" }));
  grown.observe(document.body);
  for (const move of ["wheel", "touchmove", "keydown", "pointerdown"]) {
    addEventListener(move, () => grown.disconnect(), { once: true, passive: true });
  }
}

function start() {
  let found;
  const rooms = () => {
    found ??= read("rooms.json");
    return found;
  };
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      furnish(target, rooms);
    }
  }, { rootMargin: "300px" });
  for (const node of document.querySelectorAll("[data-room]")) near.observe(node);
  hold();
}

start();
