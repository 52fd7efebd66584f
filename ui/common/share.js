/* The buttons of a result's card: its picture as PNG or SVG, its link copied. Words, picture and link come with the data. */

const CSS_BUTTON = `font: inherit; font-size: 14px; color: var(--st-text-color); background: transparent; cursor: pointer;
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius, 6px); padding: 6px 14px;`;

function save(href, name) {
  const link = document.createElement("a");
  link.href = href;
  link.download = name;
  link.click();
}

/* Without a secure address (a class on plain http) browsers hide the clipboard. */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const box = document.createElement("textarea");
  box.value = text;
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
}

async function png(source, data) {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [data.width * 2, data.height * 2];
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/png");
}

export default function ({ data, parentElement }) {
  const source = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(data.svg)}`;
  const all = document.createElement("div");
  all.style.cssText = "font-family: var(--st-font); display: flex; flex-direction: column; gap: 12px;";
  const image = document.createElement("img");
  [image.src, image.alt, image.width, image.height] = [source, data.alt, data.width, data.height];
  image.style.cssText = "width: 100%; max-width: 720px; height: auto; border: 1px solid var(--st-border-color); border-radius: 6px;";
  const row = document.createElement("div");
  row.style.cssText = "display: flex; flex-wrap: wrap; gap: 8px;";
  const button = (label, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = label;
    made.style.cssText = CSS_BUTTON;
    made.onclick = async () => {
      await act();
      made.textContent = `✓ ${label}`;
      setTimeout(() => { made.textContent = label; }, 4000);
    };
    row.append(made);
  };
  button(data.words.png, async () => save(await png(source, data), `${data.name}.png`));
  button(data.words.svg, async () => save(source, `${data.name}.svg`));
  button(data.words.link, () => copy(data.link || location.href));
  all.append(image, row);
  parentElement.append(all);
  return () => all.remove();
}
