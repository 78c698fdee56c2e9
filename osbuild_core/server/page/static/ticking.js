// Lets the time of what is running go on between two looks at the service.

const seen = new WeakMap();

export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export function prepareTicking() {
  setInterval(() => {
    for (const element of document.querySelectorAll("[data-ticking]")) {
      const base = element.dataset.ticking;
      if (seen.get(element)?.base !== base) seen.set(element, { base, at: performance.now() });
      element.textContent = duration(Number(base) + (performance.now() - seen.get(element).at) / 1000);
    }
  }, 500);
}
