// Texts on the page whose contrast with what lies behind them is below 4.5.
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const parse = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const luminance = (colour) => {
    const [r, g, b] = colour.map((value) => {
      const v = value / 255;
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const cache = new Map();
  const ground = (element) => {
    if (!element) return [255, 255, 255, 1];
    if (!cache.has(element)) {
      const own = parse(getComputedStyle(element).backgroundColor);
      cache.set(element, over(own, ground(element.parentElement)));
    }
    return cache.get(element);
  };
  const weak = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility()) continue;
    if (element.closest("script, style, option, :disabled")) continue;
    const style = getComputedStyle(element);
    const below = ground(element);
    const text = parse(element.closest("svg") ? style.fill : style.color);
    const pair = [luminance(over(text, below)), luminance(below)];
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (ratio < 4.5) weak.push([ratio.toFixed(2), element.outerHTML.slice(0, 80)]);
  }
  return weak;
}
