// Applies the stored theme before the first paint, so that a dark page never flashes white.
try {
  const theme = localStorage.getItem("netsage-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be switched off; the system's preference then decides.
}
