// Saves a chart of the page as a PNG: the SVG with the styles that it has on the page, drawn by the browser itself.
const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity", "font-family", "font-size", "font-weight"];
const SCALE = 2;

function copyWithStyles(svg) {
  const copy = svg.cloneNode(true);
  const pairs = [svg, ...svg.querySelectorAll("*")].map((each, place) => [each, [copy, ...copy.querySelectorAll("*")][place]]);
  for (const [from, to] of pairs) {
    const shown = getComputedStyle(from);
    for (const name of STYLES) to.setAttribute(name, shown.getPropertyValue(name));
  }
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return copy;
}

async function draw(svg) {
  const { width, height } = svg.viewBox.baseVal;
  const canvas = Object.assign(document.createElement("canvas"), { width: width * SCALE, height: height * SCALE });
  const copy = copyWithStyles(svg);
  copy.setAttribute("width", canvas.width);
  copy.setAttribute("height", canvas.height);
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  await picture.decode();
  const pen = canvas.getContext("2d");
  pen.fillStyle = getComputedStyle(svg.closest(".card") ?? document.body).backgroundColor;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, 0, 0);
  return canvas.toDataURL("image/png");
}

for (const button of document.querySelectorAll("[data-save]")) {
  const svg = button.closest("figure").querySelector("svg");
  button.hidden = false;
  button.addEventListener("click", async () => {
    const link = document.createElement("a");
    link.href = await draw(svg);
    link.download = `${svg.dataset.name}.png`;
    link.click();
  });
}
