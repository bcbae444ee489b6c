/**
 * Draws a landscape. Runs in the browser, which has a canvas, so it may use nothing
 * from outside.
 */
export function landscape({ seed, width = 960, height = 720 }) {
  const palettes = [
    // sky at the top, sky at the horizon, sun, farthest hills, nearest hills
    ["#3d5a98", "#ffc49b", "#fff3d6", "#c98a92", "#2d2a4a"],
    ["#0f2027", "#4d86a5", "#e8f4ff", "#3f6f8a", "#0a1a24"],
    ["#69b7e8", "#fdf0d0", "#fffdf0", "#f0c987", "#b5651d"],
    ["#9fc5c0", "#eef5ec", "#ffffff", "#9dbfa9", "#1f3d33"],
    ["#2b1e5a", "#f08bb4", "#ffe3ec", "#8f5aa8", "#21123f"],
    ["#4aa3df", "#d9f3ff", "#ffffff", "#7fb8c9", "#17505e"],
    ["#f2a65a", "#ffe8c2", "#fff8e7", "#e07a4b", "#6b2118"],
    ["#8fb3d9", "#f3f7fb", "#ffffff", "#c6d5e6", "#5f7d9c"],
  ];
  const [top, horizon, sun, far, near] = palettes[seed % palettes.length];
  let state = seed * 7919 + 17;
  const random = () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state / 2147483648;
  };
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");

  const sky = context.createLinearGradient(0, 0, 0, height * 0.75);
  sky.addColorStop(0, top);
  sky.addColorStop(1, horizon);
  context.fillStyle = sky;
  context.fillRect(0, 0, width, height);

  const x = width * (0.2 + 0.6 * random());
  const y = height * (0.22 + 0.2 * random());
  const glow = context.createRadialGradient(x, y, 0, x, y, height * 0.5);
  glow.addColorStop(0, `${sun}cc`);
  glow.addColorStop(0.4, `${sun}44`);
  glow.addColorStop(1, `${sun}00`);
  context.fillStyle = glow;
  context.fillRect(0, 0, width, height);
  context.fillStyle = sun;
  context.beginPath();
  context.arc(x, y, height * 0.055, 0, 2 * Math.PI);
  context.fill();

  const layers = 5;
  for (let layer = 0; layer < layers; layer++) {
    const base = height * (0.5 + (0.42 * layer) / layers);
    const waves = [1, 2, 4, 8, 16].map((frequency) => ({
      frequency: frequency * (0.7 + 0.6 * random()),
      phase: random() * 2 * Math.PI,
      size: (height * 0.09 * (0.6 + 0.6 * random())) / frequency ** 0.9,
    }));
    context.fillStyle = `color-mix(in oklab, ${near} ${(100 * layer) / (layers - 1)}%, ${far})`;
    context.beginPath();
    context.moveTo(0, height);
    for (let i = 0; i <= width; i += 2) {
      const ridge = waves.reduce((sum, { frequency, phase, size }) =>
        sum + size * Math.sin((i / width) * 2 * Math.PI * frequency + phase), base);
      context.lineTo(i, ridge);
    }
    context.lineTo(width, height);
    context.fill();
  }
  return canvas.toDataURL("image/jpeg", 0.9);
}
