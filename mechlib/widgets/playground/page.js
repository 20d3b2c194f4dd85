// Puts the rooms into a static page: each where an element names it in `data-room`, once that comes near.

const HERE = new URL(".", import.meta.url).href;

function styled(room) {
  return new Promise((resolve) => {
    const link = document.createElement("link");
    Object.assign(link, { rel: "stylesheet", href: `${HERE}${room}.css`, onload: resolve, onerror: resolve });
    document.head.append(link);
  });
}

async function furnish(node, rooms) {
  const { room } = node.dataset;
  try {
    const [{ default: widget }, traits] = await Promise.all([import(`${HERE}${room}.js`), rooms, styled(room)]);
    node.replaceChildren();
    widget.render({ model: kept({ ...traits.shared, ...traits[room], base: HERE }), el: node });
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

function start() {
  const rooms = read("rooms.json");
  rooms.catch(() => {}); // each room says so
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      furnish(target, rooms);
    }
  }, { rootMargin: "300px" });
  for (const node of document.querySelectorAll("[data-room]")) near.observe(node);
}

start();
