// The viewer: a picture under its class colors, an opacity slider, a legend that isolates classes, a marker that picks
// a pixel. props.value is what pixalign.app.view.viewed gives, or null; all of it is drawn here, without the server.
const { prefix, pickable } = props;
let opacity = 0.55;
let isolated = null;
let marker = null;
let drawn = 0;
let layers = null;

const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};

const load = (address) =>
  new Promise((resolve, reject) => {
    const picture = new Image();
    picture.onload = () => resolve(picture);
    picture.onerror = reject;
    picture.src = address;
  });

async function draw() {
  const turn = ++drawn;
  const value = props.value;
  const root = element.querySelector(".viewer");
  if (!root) return;
  isolated = marker = layers = null;
  if (!value) {
    root.replaceChildren(make("div", { class: "viewer-empty" }, make("p", {}, props.hint)));
    return;
  }
  const [photo, map] = await Promise.all([load(value.image), load(value.ids)]);
  if (turn !== drawn) return;
  const scratch = make("canvas", { width: map.width, height: map.height }).getContext("2d", {
    willReadFrequently: true,
  });
  scratch.drawImage(map, 0, 0);
  const pixels = scratch.getImageData(0, 0, map.width, map.height).data;
  const ids = new Uint8Array(map.width * map.height);
  for (let i = 0; i < ids.length; i++) ids[i] = pixels[4 * i];

  const size = { width: map.width, height: map.height };
  const canvas = (kind) => make("canvas", { ...size, class: kind, "aria-hidden": "true" });
  layers = { ids, ...size, dim: canvas("dim"), colors: canvas("colors"), borders: canvas("borders") };
  photo.alt = value.alt;
  const ring = make("span", { class: "ring", hidden: "", "aria-hidden": "true" });
  const stage = make("div", { class: "stage" }, photo, layers.dim, layers.colors, layers.borders, ring);
  if (pickable) {
    stage.id = `${prefix}-stage`;
    stage.tabIndex = 0;
    stage.setAttribute("role", "application");
    stage.setAttribute("aria-label", "Result. Arrow keys move the marker, Enter shows what the model says there.");
  }
  const slider = make("input", {
    type: "range", min: 0, max: 100, step: 1, id: `${prefix}-opacity`, value: Math.round(100 * opacity),
  });
  const share = make("output", { for: slider.id }, `${slider.value} %`);
  const control = make("div", { class: "opacity" }, make("label", { for: slider.id }, "Opacity"), slider, share);
  const legend = make("ul", { class: "classes", id: `${prefix}-legend`, "aria-label": "Classes by area" });
  for (const entry of value.classes) {
    const button = make(
      "button",
      { type: "button", "aria-pressed": "false", "data-id": entry.id, title: "Show this class alone" },
      make("span", { class: "swatch", style: `background: rgb(${entry.color.join(",")})` }),
      make("span", { class: "class" }, entry.name),
      make("span", { class: "percent" }, entry.percent < 0.05 ? "< 0.1 %" : `${entry.percent.toFixed(1)} %`),
    );
    const bar = make("span", { class: "share", style: `width: ${entry.percent}%` });
    button.append(make("span", { class: "track", "aria-hidden": "true" }, bar));
    legend.append(make("li", {}, button));
  }
  const title = make("p", { class: "viewer-title", id: `${prefix}-title` }, value.title);
  root.replaceChildren(
    title,
    make("div", { class: "viewer-body" }, make("div", { class: "viewer-left" }, stage, control), legend),
  );
  slider.addEventListener("input", () => {
    opacity = slider.value / 100;
    share.value = `${slider.value} %`;
    fade();
  });
  paint(value);
  fade();
  if (pickable && root.getBoundingClientRect().top > 0.7 * window.innerHeight)
    root.scrollIntoView({ block: "start", behavior: "smooth" });
}

function fade() {
  layers.colors.style.opacity = opacity;
  layers.borders.style.opacity = opacity > 0 ? 0.4 : 0;
}

function paint(value) {
  const { ids, width, height } = layers;
  const table = new Uint32Array(256);
  for (const { id, color } of value.classes) {
    if (isolated === null || isolated === id)
      table[id] = (255 << 24) | (color[2] << 16) | (color[1] << 8) | color[0];
  }
  const dark = (190 << 24) | (24 << 16) | (22 << 8) | 21;
  const thick = Math.max(1, Math.round(Math.min(width, height) / 600));
  const [colors, borders, dim] = [0, 0, 0].map(() => new Uint32Array(ids.length));
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i];
    colors[i] = table[id];
    if (isolated !== null && id !== isolated) dim[i] = dark;
    else if ((i % width >= thick && ids[i - thick] !== id) || (i >= thick * width && ids[i - thick * width] !== id))
      borders[i] = table[id];
  }
  for (const [layer, values] of [["colors", colors], ["borders", borders], ["dim", dim]]) {
    const data = new ImageData(new Uint8ClampedArray(values.buffer), width, height);
    layers[layer].getContext("2d").putImageData(data, 0, 0);
  }
}

function place(x, y) {
  const value = props.value;
  marker = {
    x: Math.min(Math.max(Math.floor(x), 0), value.width - 1),
    y: Math.min(Math.max(Math.floor(y), 0), value.height - 1),
  };
  const ring = element.querySelector(".ring");
  ring.hidden = false;
  ring.style.left = `${(100 * (marker.x + 0.5)) / value.width}%`;
  ring.style.top = `${(100 * (marker.y + 0.5)) / value.height}%`;
}

element.addEventListener("click", (event) => {
  const button = event.target.closest(".classes button");
  if (button) {
    const id = Number(button.dataset.id);
    isolated = isolated === id ? null : id;
    for (const other of element.querySelectorAll(".classes button"))
      other.setAttribute("aria-pressed", String(Number(other.dataset.id) === isolated));
    paint(props.value);
    return;
  }
  const stage = event.target.closest(".stage");
  if (!stage || !pickable || !layers) return;
  const box = stage.getBoundingClientRect();
  const value = props.value;
  place(((event.clientX - box.left) / box.width) * value.width, ((event.clientY - box.top) / box.height) * value.height);
  trigger("pick", marker);
});

element.addEventListener("keydown", (event) => {
  if (!event.target.classList.contains("stage") || !pickable || !layers) return;
  const value = props.value;
  const step = event.shiftKey ? 1 : Math.max(1, Math.round(value.width / 40));
  const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  const at = marker || { x: value.width >> 1, y: value.height >> 1 };
  if (event.key in moves) place(at.x + moves[event.key][0], at.y + moves[event.key][1]);
  else if (event.key === "Enter" || event.key === " ") {
    place(at.x, at.y);
    trigger("pick", marker);
  } else return;
  event.preventDefault();
});

watch("value", draw);
draw();
